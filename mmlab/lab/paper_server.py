"""What `mmlab paper-server` needs of the paper server."""

from mmlab.paper_server.server import Options, serve

__all__ = ["Options", "serve"]
