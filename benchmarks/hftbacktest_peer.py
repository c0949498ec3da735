"""The other side of `hftbacktest_parity.py`: runs hftbacktest in its own environment, on an array in its own format.

Called as ``PYTHON hftbacktest_peer.py TASK.json``; prints one JSON line, and writes every order to the task's ``log``.
The strategy is `mmlab.simulator.planner` with ``replace = "cancel_place"`` around a fixed half-spread, in its terms:
cancel, wait for the answer, place.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")  # Numba cannot cache functions that use hftbacktest's

from hftbacktest import (  # noqa: E402
    CANCELED,
    EXPIRED,
    FILLED,
    GTX,
    LIMIT,
    NEW,
    NONE,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
)
from numba import njit  # noqa: E402

REJECTED = 6
END_OF_DATA, FEED, RESPONSE = 1, 2, 3
FOREVER_NS = 10**18
SECONDS_OF_WARM_UP = 60


@njit
def book_usable(gaps, now):
    for i in range(len(gaps)):
        if gaps[i, 0] <= now < gaps[i, 1]:
            return False
    return True


@njit
def target_tick(side, bid, ask, half_ticks):
    mid = 0.5 * (bid + ask)
    if side > 0:
        return min(int(np.floor(mid - half_ticks + 1e-9)), ask - 1)
    return max(int(np.ceil(mid + half_ticks - 1e-9)), bid + 1)


@njit
def run(hbt, step_ns, first_ns, start_ns, half_ticks, order_lots, max_lots, tick_size, lot_size, gaps, log, keep):
    """Trade until the data ends; returns the number of orders, and of fills."""
    ids, n, fills = np.zeros(2, np.int64), 0, 0
    over = hbt.elapse(first_ns) != 0
    while True:
        now, depth, orders = hbt.current_timestamp, hbt.depth(0), hbt.orders(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        quote = now >= start_ns and bid < ask and bid > 0 and depth.best_ask_qty > 0 and book_usable(gaps, now)
        position = round(hbt.position(0) / lot_size)
        for s in range(2):
            side = 1 - 2 * s
            lots = min(order_lots, max_lots - side * position) if quote else 0
            tick = target_tick(side, bid, ask, half_ticks)
            if ids[s] > 0:
                order = orders.get(ids[s])
                status = order.status
                if status == FILLED or status == CANCELED or status == EXPIRED or status == REJECTED:
                    fills += status == FILLED
                    if keep:
                        log[ids[s] - 1, 4], log[ids[s] - 1, 5] = status, order.exch_timestamp
                    ids[s] = 0
                elif status == NEW and order.req == NONE and not over:
                    if lots <= 0 or tick != order.price_tick or lots != round(order.leaves_qty / lot_size):
                        hbt.cancel(0, ids[s], False)
            if ids[s] == 0 and lots > 0 and not over:
                n += 1
                if keep:
                    log[n - 1, 0], log[n - 1, 1], log[n - 1, 2], log[n - 1, 3] = now, side, tick, lots
                ids[s] = n
                if side > 0:
                    hbt.submit_buy_order(0, n, tick * tick_size, lots * lot_size, GTX, LIMIT, False)
                else:
                    hbt.submit_sell_order(0, n, tick * tick_size, lots * lot_size, GTX, LIMIT, False)
        if over:
            return n, fills
        hbt.clear_inactive_orders(0)
        if step_ns > 0:
            over = hbt.elapse(step_ns) != 0
        else:
            over = hbt.wait_next_feed(True, FOREVER_NS) == END_OF_DATA


def backtest(kind, data, task):
    asset = BacktestAsset().data([data])
    if task["inverse"]:
        asset = asset.inverse_asset(task["contract_size"])
    else:
        asset = asset.linear_asset(task["contract_size"])
    asset = (
        asset.constant_order_latency(task["entry_ns"], task["response_ns"]).risk_adverse_queue_model()
        .no_partial_fill_exchange().trading_value_fee_model(task["maker_fee"], task["taker_fee"])
        .tick_size(task["tick_size"]).lot_size(task["lot_size"]).last_trades_capacity(0)
    )  # fmt: skip
    if kind == "roi":
        asset = asset.roi_lb(task["low"]).roi_ub(task["high"])
    return (ROIVectorMarketDepthBacktest if kind == "roi" else HashMapMarketDepthBacktest)([asset])


def one_run(kind, data, task, log):
    """CPU seconds from the array in memory to the end of the run, and the result."""
    gaps = np.array(task["gaps"], np.int64).reshape(-1, 2)
    begun = time.process_time()
    hbt = backtest(kind, data, task)
    orders, fills = run(
        hbt, task["step_ns"], task["first_ns"], task["start_ns"], task["half_ticks"], task["order_lots"],
        task["max_lots"], task["tick_size"], task["lot_size"], gaps, log, len(log) > 0,
    )  # fmt: skip
    seconds = time.process_time() - begun
    state = hbt.state_values(0)
    result = {
        "orders": orders, "fills": fills, "position": state.position, "balance": state.balance, "fee": state.fee,
        "last_ns": int(hbt.current_timestamp),
    }  # fmt: skip
    hbt.close()
    return seconds, result


def peak_mb():
    status = Path("/proc/self/status").read_text()  # ru_maxrss starts at the parent process's
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    task = json.loads(Path(sys.argv[1]).read_text())
    data = np.load(task["data"])
    none = np.zeros((0, 6), np.int64)
    warm = data[: task["warm_rows"]].copy()
    for kind in task["depths"]:
        one_run(kind, warm, task, none)
    before = peak_mb()
    seconds = {kind: [one_run(kind, data, task, none)[0] for _ in range(task["runs"])] for kind in task["depths"]}
    peak = peak_mb()
    fastest = min(seconds, key=lambda kind: min(seconds[kind]))
    log = np.zeros((task["max_orders"], 6), np.int64)
    _, result = one_run(fastest, data, task, log)
    np.save(task["log"], log[: result["orders"]])
    print(json.dumps(
        result | {"depth": fastest, "cpu_s": seconds, "peak_mb": peak, "peak_before_runs_mb": before}
    ))  # fmt: skip


if __name__ == "__main__":
    main()
