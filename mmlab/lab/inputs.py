"""What a command needs besides runs: the names of other rooms, for the command line, which imports only `mmlab.lab`."""

from mmlab.config import Config
from mmlab.feeds.store import load_feed
from mmlab.simulator import Latency
from mmlab.telemetry.run_directory import require_new

__all__ = ["Config", "Latency", "load_feed", "require_new"]
