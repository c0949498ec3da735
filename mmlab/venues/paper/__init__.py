"""The paper venue: the simulated exchange behind the venue protocol, with latencies and faults by plan."""

from mmlab.venues.paper.codes import Code
from mmlab.venues.paper.faults import FaultPlan
from mmlab.venues.paper.signers import FailingSigner, PaperSigner, SlowSigner
from mmlab.venues.paper.venue import PaperVenue, Truth

__all__ = ["Code", "FailingSigner", "FaultPlan", "PaperSigner", "PaperVenue", "SlowSigner", "Truth"]
