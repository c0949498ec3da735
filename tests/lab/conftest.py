"""A finished session on the sample, made once."""

from __future__ import annotations

import math

import pytest

import mmlab
from mmlab.lab.demo import SAMPLE
from tests.lab.going import Source

SESSION_S = 240.0


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Source:
    folder = tmp_path_factory.mktemp("source") / "run"
    config = mmlab.Config().with_(**{"strategy.warmup_s": 30.0, "strategy.half_life_s": 15.0})
    mmlab.Session(config, feed=SAMPLE, speed=math.inf, out=folder).run(duration_s=SESSION_S)
    return Source(folder)
