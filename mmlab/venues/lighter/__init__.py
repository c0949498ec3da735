"""Lighter: keys, signer, connections and feeds behind the venue protocol."""
