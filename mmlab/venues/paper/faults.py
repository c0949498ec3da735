"""`FaultPlan`: how slow and how faulty the paper venue and the network to it are. Without arguments: not at all."""

from __future__ import annotations

from typing import ClassVar

from mmlab.simulator import faults
from mmlab.venues.paper.codes import Code


class FaultPlan(faults.FaultPlan):
    """A `mmlab.simulator.faults.FaultPlan` whose ``rejects`` are the paper venue's codes."""

    CODES: ClassVar[type[Code]] = Code


FaultPlan.__doc__ = faults.FaultPlan.__doc__  # what a user asks for are its fields
