"""What `mmlab paper-server` needs: the server itself, in this process (`mmlab.PaperServer` starts it in another)."""

from mmlab.paper_server.server import Options, serve

__all__ = ["Options", "serve"]
