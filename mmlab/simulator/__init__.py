"""Replay of a feed on two clocks against a simulated exchange."""

from mmlab.simulator.latency import Latency
from mmlab.simulator.replay import Replay, replay
from mmlab.simulator.tape import Tape, build_tape

__all__ = ["Latency", "Replay", "Tape", "build_tape", "replay"]
