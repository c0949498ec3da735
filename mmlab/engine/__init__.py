"""The asyncio shell: what joins a venue, the decision kernel, the order manager, a signer and a run directory."""
