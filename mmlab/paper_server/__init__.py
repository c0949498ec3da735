"""A simulated exchange behind Lighter's REST and WebSocket wire (docs/paper_server.md)."""
