"""Venues: what the engine needs of an exchange (`protocol`), and who fulfils it."""
