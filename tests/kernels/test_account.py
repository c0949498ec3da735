"""Account: the P&L identity at every row, against exact fractions, linear and inverse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.kernels import account as acc
from mmlab.kernels import account_table as table
from mmlab.kernels.policy import one_row, records
from tests import twins
from tests.tapes import find_any, same

trades = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(80, 120), st.integers(1, 9), st.integers(-3, 3)), max_size=40
)
contracts = st.sampled_from([(0.1, 1.0, False), (0.001, 10.0, False), (1.0, 100.0, True)])


def book(rows, sizes):
    """The account after each row."""
    state, out = one_row(acc.ACCOUNT)[0], []
    for side, price, lots, fee in rows:
        acc.account_fill(state, side, float(price), lots, fee * 0.01, *sizes)
        out.append(state.copy())
    return out


@given(trades, contracts)
def test_each_row_is_the_twin(rows, sizes):
    lot_size, contract_size, inverse = sizes
    got = book(rows, sizes)
    side, price, lots, fee = (list(c) for c in zip(*rows, strict=True)) if rows else ([], [], [], [])
    expected = twins.account(side, price, lots, [f * 0.01 for f in fee], lot_size, contract_size, inverse=inverse)
    names = {"position_lots": "position", "entry": "entry", "realised": "realised", "cash": "cash", "fees": "fees"}
    for name, twin in (names | {"volume": "volume"}).items():
        assert same([row[name] for row in got], expected[twin])


@given(trades, contracts, st.integers(80, 120))
def test_the_ledger_equals_realised_and_unrealised(rows, sizes, mid):
    """cash + position*mid - fees + funding = realised + unrealised - fees + funding, at every row."""
    state = one_row(acc.ACCOUNT)[0]
    for side, price, lots, fee in rows:
        acc.account_fill(state, side, float(price), lots, fee * 0.01, *sizes)
        acc.account_funding(state, float(price), 1e-4, *sizes)
        net, equity = acc.account_net(state, float(mid), *sizes), acc.account_equity(state, float(mid), *sizes)
        scale = max(1.0, abs(state["cash"]))
        assert abs(net - equity) <= 1e-9 * scale


@given(trades, st.integers(80, 120))
def test_net_pnl_is_exact(rows, mid):
    """Against exact fractions, from cash alone."""
    state = one_row(acc.ACCOUNT)[0]
    cash = position = fees = Fraction(0)
    for side, price, lots, fee in rows:
        acc.account_fill(state, side, float(price), lots, fee * 0.01, 0.1, 1.0, False)
        position += Fraction(side * lots, 10)
        cash -= Fraction(side * lots, 10) * price
        fees += Fraction(fee, 100)
    assert acc.account_net(state, float(mid), 0.1, 1.0, False) == pytest.approx(
        float(cash + position * mid - fees), rel=1e-9, abs=1e-9
    )


def test_a_fill_through_zero_closes_at_entry_and_opens_at_its_price():
    state = one_row(acc.ACCOUNT)[0]
    sizes = (1.0, 1.0, False)
    acc.account_fill(state, 1, 100.0, 2, 0.0, *sizes)
    acc.account_fill(state, 1, 106.0, 4, 0.0, *sizes)
    assert state["entry"] == 104.0
    acc.account_fill(state, -1, 105.0, 10, 0.5, *sizes)
    assert (state["position_lots"], state["realised"], state["entry"]) == (-4, 6.0, 105.0)
    acc.account_fill(state, 1, 100.0, 4, 0.5, *sizes)
    assert (state["position_lots"], state["realised"], state["entry"]) == (0, 26.0, 0.0)
    assert acc.account_net(state, np.nan, *sizes) == 25.0  # flat: needs no mid
    assert (state["fills"], state["volume"]) == (4, 200 + 424 + 1050 + 400)


def test_inverse_by_hand():
    """100-dollar contracts: 10 bought at 50,000 and sold at 40,000 lose 0.005 coins."""
    state = one_row(acc.ACCOUNT)[0]
    sizes = (1.0, 100.0, True)
    acc.account_fill(state, 1, 50_000.0, 5, 0.0, *sizes)
    acc.account_fill(state, 1, 40_000.0, 5, 0.0, *sizes)
    assert state["entry"] == pytest.approx(10 / (5 / 50_000 + 5 / 40_000))
    assert acc.account_unrealised(state, 40_000.0, *sizes) == pytest.approx(1000 * (1 / state["entry"] - 1 / 40_000))
    acc.account_fill(state, -1, 40_000.0, 10, 1e-5, *sizes)
    assert state["realised"] == pytest.approx(500 / 50_000 - 500 / 40_000)
    assert state["volume"] == 2000.0


def test_funding_signs():
    long_linear, short_inverse = one_row(acc.ACCOUNT)[0], one_row(acc.ACCOUNT)[0]
    acc.account_fill(long_linear, 1, 100.0, 20, 0.0, 0.1, 1.0, False)
    assert acc.account_funding(long_linear, 110.0, 1e-4, 0.1, 1.0, False) == pytest.approx(-2 * 110 * 1e-4)
    acc.account_fill(short_inverse, -1, 50_000.0, 10, 0.0, 1.0, 100.0, True)
    assert acc.account_funding(short_inverse, 40_000.0, 1e-4, 1.0, 100.0, True) == pytest.approx(1000 / 40_000 * 1e-4)
    assert short_inverse["funding"] > 0 > long_linear["funding"]


def test_quote_figures_convert_each_increment_at_its_own_mid():
    state = one_row(acc.ACCOUNT)[0]
    sizes = (1.0, 100.0, True)
    acc.account_fill(state, 1, 50_000.0, 10, 0.0, *sizes)
    total, before = 0.0, 0.0
    for mid in (50_000.0, 51_000.0, 49_000.0):
        base = 1000 * (1 / 50_000 - 1 / mid)
        total += (base - before) * mid
        before = base
        assert acc.account_mark(state, mid, *sizes) == pytest.approx(total)
    assert acc.account_mark(state, np.nan, *sizes) == pytest.approx(total)


def test_linear_quote_figures_are_the_net():
    state = one_row(acc.ACCOUNT)[0]
    for side, price in ((1, 100.0), (-1, 104.0), (-1, 103.0)):
        acc.account_fill(state, side, price, 3, 0.1, 0.1, 1.0, False)
        assert acc.account_mark(state, price, 0.1, 1.0, False) == pytest.approx(
            acc.account_net(state, price, 0.1, 1.0, False), abs=1e-12
        )


@given(trades, contracts)
def test_table_is_the_online_account(rows, sizes):
    n = len(rows)
    side, price, lots, fee = np.array(rows, float).reshape(n, 4).T
    out = records(np.zeros(n, table.LEDGER))
    mid = price + 1.0
    table.account_table(
        np.arange(n), mid, side.astype(np.int8), price, lots.astype(np.int64), fee * 0.01, *sizes,
        one_row(acc.ACCOUNT)[0], out,
    )  # fmt: skip
    for i, state in enumerate(book(rows, sizes)):
        for name in ("position_lots", "cash", "entry", "realised", "fees", "volume"):
            assert out[name][i] == state[name]
        assert out["unrealised"][i] == acc.account_unrealised(state, mid[i], *sizes)


def test_realised_at_the_wrong_entry_is_seen():
    """A twin that takes the fill price of the last opening as entry, instead of the average, is caught."""

    def last_price(rows):
        entry = position = realised = 0.0
        for side, price, lots, _ in rows:
            if position * side < 0:
                realised += np.sign(position) * min(lots, abs(position)) * 0.1 * (price - entry)
            if position * side >= 0 or lots > abs(position):
                entry = price
            position += side * lots
        return realised

    def wrong(rows):
        got = book(rows, (0.1, 1.0, False))
        return bool(rows) and not same(got[-1]["realised"], last_price(rows))

    find_any(trades, wrong)


def test_per_million():
    assert acc.per_million(3.0, 100.0) == 30_000.0
    assert np.isnan(acc.per_million(3.0, 0.0))
