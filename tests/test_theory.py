"""Closed forms, and the simulated model against its exact moments."""

from __future__ import annotations

import doctest
import math
from math import comb
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from mmlab import theory
from mmlab.errors import ConfigError

Array = np.ndarray[Any, Any]
Strategy = Literal["inventory", "symmetric"]

PATHS = 100_000
ORACLE = [  # oracle (a) of the issue: gamma, strategy, statistic, exact moment
    (0.1, "inventory", "mean profit", 64.893),
    (0.01, "inventory", "mean profit", 68.400),
    (1.0, "inventory", "mean profit", 31.455),
    (0.1, "inventory", "std profit", 6.543),
    (0.01, "inventory", "std profit", 8.961),
    (1.0, "inventory", "std profit", 4.838),
    (0.1, "inventory", "std final_q", 2.927),
    (0.01, "inventory", "std final_q", 5.213),
    (1.0, "inventory", "std final_q", 1.641),
    (0.1, "symmetric", "mean profit", 68.228),
    (0.01, "symmetric", "mean profit", 68.666),
    (1.0, "symmetric", "mean profit", 43.869),
    (0.1, "symmetric", "std profit", 13.457),
    (0.01, "symmetric", "std profit", 13.678),
    (1.0, "symmetric", "std profit", 10.751),
]


def statistic(sample: Array, name: str) -> tuple[float, float]:
    """Estimate and standard error; that of a std is std*sqrt((kurtosis - 1)/(4n))."""
    n, std, centred = len(sample), float(np.std(sample, ddof=1)), sample - np.mean(sample)
    if name == "mean":
        return float(np.mean(sample)), std / math.sqrt(n)
    kurtosis = float(np.mean(centred**4) / np.mean(centred**2) ** 2)
    return std, std * math.sqrt((kurtosis - 1) / (4 * n))


@pytest.fixture(scope="module")
def simulated() -> dict[tuple[float, str], pd.DataFrame]:
    return {
        (gamma, strategy): theory.simulate(gamma, strategy, paths=PATHS)
        for gamma in (0.1, 0.01, 1.0)
        for strategy in ("inventory", "symmetric")
    }


@pytest.mark.parametrize(("gamma", "strategy", "name", "exact"), ORACLE)
def test_simulated_moments_lie_near_the_exact_ones(
    simulated: dict[tuple[float, str], pd.DataFrame], gamma: float, strategy: str, name: str, exact: float
) -> None:
    kind, column = name.split()
    estimate, error = statistic(simulated[gamma, strategy][column].to_numpy(float), kind)
    z = (estimate - exact) / error
    print(f"gamma {gamma:<4} {strategy:<9} {name:<11} exact {exact:7.3f} simulated {estimate:7.3f} z {z:+.2f}")
    assert abs(z) < 4


def exact_moments(gamma: float, strategy: str, most_q: int = 90) -> dict[str, float]:
    """Moments of the discrete model by recursion over (step, q): no sampling.

    Wealth W = cash + q*mid changes by each fill's distance and then by q times the price step, and fill probabilities
    depend on (step, q) only. So E[W^j; q], j = 0..2, obeys a closed linear recursion. Written from the issue's text.
    """
    sigma, k, A, T, dt = 2.0, 1.5, 140.0, 1.0, 0.005
    q = np.arange(-most_q, most_q + 1)
    moments = np.zeros((3, q.size))
    moments[0, most_q] = 1.0

    def jump(state: Array, weight: Array, gain: Array, dq: int) -> Array:
        """Moments of the branch with probability `weight`, in which W gains `gain` and q moves by `dq`."""
        out = np.array([sum(comb(j, i) * gain ** (j - i) * state[i] for i in range(j + 1)) for j in range(3)]) * weight
        return np.roll(out, dq, axis=1)

    fills = 0.0
    for i in range(200):
        tau = T - i * dt
        base = 2 / gamma * math.log(1 + gamma / k)
        if strategy == "inventory":
            spread, skew = gamma * sigma**2 * tau + base, gamma * sigma**2 * tau
        else:
            spread, skew = base + gamma * sigma**2 * T / 2, 0.0
        to_bid, to_ask = spread / 2 + q * skew, spread / 2 - q * skew
        with np.errstate(over="ignore"):
            hit_bid = np.minimum(A * np.exp(-k * to_bid) * dt, 1)
            hit_ask = np.minimum(A * np.exp(-k * to_ask) * dt, 1)
        fills += float(np.sum(moments[0] * (hit_bid + hit_ask)))
        moments = (
            jump(moments, (1 - hit_bid) * (1 - hit_ask), 0 * to_bid, 0)
            + jump(moments, hit_bid * (1 - hit_ask), to_bid, 1)
            + jump(moments, (1 - hit_bid) * hit_ask, to_ask, -1)
            + jump(moments, hit_bid * hit_ask, to_bid + to_ask, 0)
        )
        step = q * sigma * math.sqrt(dt)
        half = np.full(q.size, 0.5)
        moments = jump(moments, half, step, 0) + jump(moments, half, -step, 0)
    assert moments[0, 0] + moments[0, -1] < 1e-12, "the inventory grid is too narrow"
    mean, mean_q = moments[1].sum(), (moments[0] * q).sum()
    return {
        "mean profit": mean,
        "std profit": math.sqrt(moments[2].sum() - mean**2),
        "std final_q": math.sqrt((moments[0] * q**2).sum() - mean_q**2),
        "mean final_q": mean_q,
        "mean fills": fills,
    }


@pytest.mark.parametrize("gamma", [0.1, 0.01, 1.0])
@pytest.mark.parametrize("strategy", ["inventory", "symmetric"])
def test_recursion_gives_the_stated_moments_and_the_simulation_its_own(
    simulated: dict[tuple[float, str], pd.DataFrame], gamma: float, strategy: str
) -> None:
    exact = exact_moments(gamma, strategy)
    for g, s, name, stated in ORACLE:
        if (g, s) == (gamma, strategy):
            assert exact[name] == pytest.approx(stated, abs=5e-4 + 1e-9), name
    for name, value in exact.items():
        kind, column = name.split()
        estimate, error = statistic(simulated[gamma, strategy][column].to_numpy(float), kind)
        assert abs(estimate - value) < 4 * error, name


@pytest.mark.parametrize("strategy", ["inventory", "symmetric"])
def test_mean_spread_is_that_of_the_quotes(
    simulated: dict[tuple[float, str], pd.DataFrame], strategy: Strategy
) -> None:
    spreads = simulated[0.1, strategy]["mean_spread"]
    taus = 1.0 - 0.005 * np.arange(200)
    mean_tau = taus.mean() if strategy == "inventory" else 0.5
    assert np.allclose(spreads, 20 * math.log(1 + 0.1 / 1.5) + 0.1 * 4 * mean_tau, rtol=1e-12)


def test_simulation_is_determined_by_its_seed_and_not_by_the_number_of_paths() -> None:
    few, many = theory.simulate(0.1, paths=50, seed=7), theory.simulate(0.1, paths=500, seed=7)
    pd.testing.assert_frame_equal(few, many.iloc[:50], check_exact=True)
    assert not few["profit"].equals(theory.simulate(0.1, paths=50, seed=8)["profit"])


@pytest.mark.parametrize("strategy", ["inventory", "symmetric"])
def test_sample_path_is_the_first_simulated_path(strategy: Strategy) -> None:
    path = theory.sample_path(0.1, strategy, seed=3)
    outcome = theory.simulate(0.1, strategy, paths=1, seed=3).iloc[0]
    assert len(path) == 200
    assert (path.index[0], path["mid"].iloc[0]) == (0.0, 100.0)
    assert np.allclose(path["mid"].diff().dropna().abs(), 2.0 * math.sqrt(0.005))
    assert np.allclose((path["bid"] + path["ask"]) / 2, path["reservation"])
    assert outcome["mean_spread"] == pytest.approx((path["ask"] - path["bid"]).mean())
    if strategy == "inventory":
        quotes = theory.avellaneda_stoikov(path["mid"].iloc[120], path["q"].iloc[120], 0.1, 2.0, 0.4, 1.5)
        assert path.iloc[120][["bid", "ask", "reservation"]].tolist() == pytest.approx(quotes[:3])
    # cash moves only by whole fills at the quotes shown, one at most a side
    change_q, change_cash = path["q"].diff().shift(-1).iloc[:-1], path["cash"].diff().shift(-1).iloc[:-1]
    for (_, row), dq, dcash in zip(path.iloc[:-1].iterrows(), change_q, change_cash, strict=True):
        possible = {-1: [row["ask"]], 1: [-row["bid"]], 0: [0.0, row["ask"] - row["bid"]]}[int(dq)]
        assert min(abs(dcash - cash) for cash in possible) < 1e-9


def test_closed_forms() -> None:
    quotes = theory.avellaneda_stoikov(mid=100, q=2, gamma=0.1, sigma=2.0, tau=0.5, kappa=1.5)
    spread = 0.1 * 4 * 0.5 + 2 / 0.1 * math.log(1 + 0.1 / 1.5)
    assert quotes == pytest.approx((99.6 - spread / 2, 99.6 + spread / 2, 99.6, spread))
    assert quotes._fields == ("bid", "ask", "reservation", "spread")
    half_spreads = [theory.glft(q, 0.01, 0.3, 0.9, 0.3) for q in (-10, 0, 10)]
    assert [h.bid for h in half_spreads] == pytest.approx([2.634257, 3.312915, 3.991574], abs=5e-7)
    assert [h.ask for h in half_spreads] == [h.bid for h in reversed(half_spreads)]


def test_docstring_examples() -> None:
    results = doctest.testmod(theory)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"gamma": -0.1}, "gamma = -0.1"),
        ({"gamma": math.nan}, "gamma = nan"),
        ({"gamma": 0.1, "strategy": "naive"}, "strategy = 'naive'"),
        ({"gamma": 0.1, "paths": -1}, "paths = -1"),
        ({"gamma": 0.1, "dt": 0.3}, "whole number of steps"),
        ({"gamma": 0.1, "k": 0.0, "A": math.inf}, "k = 0.0: must be finite and > 0; A = inf"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        theory.simulate(**arguments)
