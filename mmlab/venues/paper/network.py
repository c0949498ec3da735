"""What becomes of a message between us and the paper venue: see `mmlab.simulator.network`."""

from mmlab.simulator.network import Chance, Line

__all__ = ["Chance", "Line"]
