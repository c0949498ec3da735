"""Parity with hftbacktest 2.4.4, order by order, and speed and memory of both.

    python benchmarks/hftbacktest_parity.py --events 2000000 --seed 1 --steps 100
    python benchmarks/hftbacktest_parity.py --feed recording.parquet --steps 0

Both sides trade the same feed with the same fixed two-sided strategy (gates off), constant latency, risk-averse queue,
`fill_on_cross`, no partial fills, post-only orders. ``--steps`` is the time between decisions in ms, 0 for every feed
event. The peer runs in an environment of its own (`make bench` builds it), with the faster of its two books.

The last line printed is one JSON object. CPU time is of the process, with compiled code warm: our first run starts with
`EVENT` rows in memory and includes every derived table, a second run shares them; the peer's starts with its own array.
Each figure is the least of ``--runs`` repetitions. ``peak_mb`` is of the process that did the runs, interpreter and
compiler included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PEER = Path(__file__).with_name("hftbacktest_peer.py")
WARM_ROWS = 20_000
WARM_UP_NS = 10_000_000_000
LATENCY_MS = 5.0
NS_PER_MS = 1_000_000
PEER_STATES = {2: 11, 3: 9, 4: 10}
"""Its EXPIRED, FILLED, CANCELED as our REJECTED, FILLED, CANCELED."""
PEER_EVENT = np.dtype(
    [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
     ("ival", "i8"), ("fval", "f8")], align=True,
)  # fmt: skip
DENSE = {"limit_rate": 400, "cancel_rate": 350, "near_ticks": 40, "depth_ticks": 200, "trade_rate": 20}
"""A synthetic market like the recordings of futures: 1,100 rows a second, of which 4 % change the best quotes."""
DEPTH_EVENT, TRADE_EVENT, CLEAR_EVENT = 1, 2, 3
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28


def load_feed(args: argparse.Namespace) -> tuple[Any, np.ndarray]:
    """Instrument and events."""
    if args.feed is None:
        from mmlab.feeds.synthetic import SYNTHETIC_INSTRUMENT, synthetic_events

        market = {} if args.sparse else DENSE
        return SYNTHETIC_INSTRUMENT, synthetic_events(events=args.events, seed=args.seed, **market)
    import mmlab

    path = Path(args.feed)
    feed = mmlab.load_feed(path) if path.suffix == ".parquet" else mmlab.import_feed(path, format="hftbacktest")
    return feed.instrument, feed.events


def peer_events(events: np.ndarray, tick_size: float, lot_size: float) -> np.ndarray:
    """The feed in hftbacktest's format.

    On the exchange's clock trades come first at equal time, as in `mmlab.simulator`; a row that stands elsewhere there
    is written twice. A GAP becomes an empty trade that only the strategy hears of, so that it looks at the market then.
    """
    events = events[np.isin(events["kind"], (0, 1, 2, 4))]
    seen = events["kind"] == 4
    order = np.lexsort((events["kind"] != 1, events["exch_ns"]))
    rows, flags, local = [], [], 0
    for row in order[~seen[order]].tolist():
        while local < events.size and seen[local]:
            rows.append(local)
            flags.append(LOCAL)
            local += 1
        rows.append(row)
        flags.append(EXCH | LOCAL if row == local else EXCH)
        seen[row] = True
        local += row == local
    rows += range(local, events.size)
    flags += [LOCAL] * (events.size - local)
    e = events[rows]
    kind = np.array([DEPTH_EVENT, TRADE_EVENT, CLEAR_EVENT, 0, TRADE_EVENT])[e["kind"]]
    side = np.where(e["side"] > 0, BUY, np.where(e["side"] < 0, SELL, np.where(e["kind"] == 4, BUY, 0)))
    out = np.zeros(len(rows), PEER_EVENT)
    out["ev"] = kind | np.array(flags) | side
    out["exch_ts"], out["local_ts"] = e["exch_ns"], e["local_ns"]
    out["px"] = e["price_ticks"] * tick_size
    out["qty"] = np.where(e["kind"] == 4, 0, e["size_lots"]) * lot_size
    return out


def gap_windows(events: np.ndarray) -> list[list[int]]:
    """Local times between which the book is unusable: GAP or snapshot begin, to snapshot end."""
    windows, since = [], None
    for row in events[np.isin(events["kind"], (2, 3, 4))]:
        if row["kind"] == 3:
            windows.append([int(since), int(row["local_ns"])])
            since = None
        elif since is None:
            since = row["local_ns"]
    return windows + ([] if since is None else [[int(since), 2**62]])


def parameters(events: np.ndarray, instrument: Any, steps_ms: float, half_ticks: float) -> tuple[Any, dict[str, Any]]:
    """Our `PARAMS` row, and the same strategy as the peer's task."""
    from mmlab.config import Config
    from mmlab.resolve import WarmUp, resolve

    mid_ticks = float(np.median(events["price_ticks"][events["kind"] == 1]))
    order_lots = 4 * instrument.min_lots(0.9 * instrument.to_price(mid_ticks))
    max_lots = 10 * order_lots
    quiet = {f"kill.{name}.enabled": False for name in
             ("toxic", "burst", "losing", "loss", "drawdown", "volatility", "stale", "mark")}  # fmt: skip
    config = Config().with_(**{
        "strategy.model": "fixed", "strategy.half_spread_ticks": half_ticks, "strategy.step_ms": steps_ms,
        "strategy.order_size": instrument.to_size(order_lots), "strategy.max_spread_bps": 10_000,
        "risk.max_position": instrument.to_size(max_lots), "risk.collar_bps": 10_000,
        "execution.replace": "cancel_place", "ladder.enabled": False, "gates.flip.mode": "off",
        "gates.cooldown.enabled": False, "gates.age_exit.enabled": False, **quiet,
    })  # fmt: skip
    # quoting starts with a book event, so that both sides look at the market then
    book_rows = events["kind"] == 0
    after = book_rows & (events["local_ns"] >= events["local_ns"][0] + WARM_UP_NS)
    start_ns = int(events["local_ns"][np.argmax(after)])
    warmup = WarmUp(
        start_ns=int(events["local_ns"][0]), end_ns=start_ns, mid=instrument.to_price(mid_ticks), A=1.0, kappa=1.0,
        sigma=1.0, gamma=1.0, median_spread_ticks=1.0, median_interval_ns=1e6, p99_interval_ns=1e7,
    )  # fmt: skip
    task = {
        "start_ns": start_ns, "half_ticks": half_ticks, "order_lots": order_lots, "max_lots": max_lots,
        "step_ns": int(steps_ms * NS_PER_MS), "entry_ns": int(LATENCY_MS * NS_PER_MS),
        "response_ns": int(LATENCY_MS * NS_PER_MS), "tick_size": instrument.tick_size, "lot_size": instrument.lot_size,
        "maker_fee": instrument.maker_fee_bps * 1e-4, "taker_fee": instrument.taker_fee_bps * 1e-4,
        "inverse": instrument.inverse, "contract_size": instrument.contract_size,
        "low": instrument.to_price(mid_ticks * 0.5), "high": instrument.to_price(mid_ticks * 1.5),
        "gaps": gap_windows(events),
    }  # fmt: skip
    return resolve(config, instrument, warmup)[0], task


def our_run(tape: Any, instrument: Any, params: Any, *, record: bool = False) -> Any:
    """One replay, as users run it."""
    from mmlab.simulator import Latency, replay

    return replay(
        tape, instrument, params, Latency(LATENCY_MS, LATENCY_MS), partial_fills=False, fill_on_cross=True,
        record_decisions=record, record_metrics=record,
    )  # fmt: skip


def cpu(function: Any) -> tuple[float, Any]:
    """CPU seconds of a call, and its result."""
    begun = time.process_time()
    result = function()
    return time.process_time() - begun, result


def peak_mb() -> float:
    """Peak memory of this process (``ru_maxrss`` would start at the parent's)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def our_worker(task_path: str) -> None:
    """A fresh process of ours: first call, then first and second runs; prints one JSON line."""
    from mmlab.instrument import Instrument
    from mmlab.params import PARAMS
    from mmlab.simulator import build_tape

    task = json.loads(Path(task_path).read_text())
    events = np.load(task["events"])
    params = np.load(task["params"]).view(PARAMS)
    instrument = Instrument(**task["instrument"])
    warm = events[:WARM_ROWS].copy()
    begun = time.perf_counter()
    our_run(build_tape(warm), instrument, params)
    first_call_s = time.perf_counter() - begun
    before = peak_mb()
    first, second, tapes = [], [], []
    for _ in range(task["runs"]):
        built_s, tape = cpu(lambda: build_tape(events))
        run_s, _ = cpu(lambda tape=tape: our_run(tape, instrument, params))
        first.append(built_s + run_s)
        tapes.append(built_s)
        second.append(cpu(lambda tape=tape: our_run(tape, instrument, params))[0])
        del tape
    print(json.dumps({
        "first_call_s": first_call_s, "first_cpu_s": first, "second_cpu_s": second, "tape_cpu_s": tapes,
        "peak_mb": peak_mb(), "peak_before_runs_mb": before,
    }))  # fmt: skip


def our_orders(result: Any, last_ns: int) -> np.ndarray:
    """One row an order, as the peer logs them: sent at, side, ticks, lots, end state, end time (0 0: none by then)."""
    orders = result.orders
    sent = orders[orders["state"] == 2]
    out = np.zeros((sent.size, 6), np.int64)
    for column, name in enumerate(("local_ns", "side", "price_ticks", "size_lots")):
        out[:, column] = sent[name]
    ends = orders[
        (orders["state"] >= 9) & (orders["reason"] != 4) & (orders["reason"] != 6) & (orders["local_ns"] <= last_ns)
    ]
    out[ends["client_order_id"], 4], out[ends["client_order_id"], 5] = ends["state"], ends["exch_ns"]
    return out


def our_totals(result: Any, instrument: Any, last_ns: int) -> dict[str, Any]:
    """What the peer reports, from our fills heard by `last_ns`."""
    f = result.fills[result.fills["local_ns"] <= last_ns]
    signed = f["side"] * f["size_lots"] * instrument.lot_size * instrument.contract_size
    price = f["price_ticks"] * instrument.tick_size
    balance = (signed / price).sum() if instrument.inverse else -(signed * price).sum()
    return {
        "orders": int((result.orders["state"] == 2).sum()), "fills": int(f.size), "fee": float(f["fee"].sum()),
        "position": float((f["side"] * f["size_lots"]).sum() * instrument.lot_size), "balance": float(balance),
    }  # fmt: skip


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


def differences(ours: np.ndarray, theirs: np.ndarray, last_ns: int) -> list[str]:
    """What is not the same in two tables of orders, in words; the first few.

    The peer goes on with requests after the feed's end; what it would hear after `last_ns` does not count.
    """
    theirs = theirs.copy()
    theirs[:, 4] = [PEER_STATES.get(state, 0) for state in theirs[:, 4]]
    theirs[theirs[:, 5] + int(LATENCY_MS * NS_PER_MS) > last_ns, 4:] = 0
    found = [] if len(ours) == len(theirs) else [f"{len(ours)} orders against {len(theirs)}"]
    n = min(len(ours), len(theirs))
    different = np.flatnonzero((ours[:n] != theirs[:n]).any(axis=1))[:5]
    return found + [f"order {row}: {ours[row].tolist()} against {theirs[row].tolist()}" for row in different]


def subprocess_json(command: list[str]) -> dict[str, Any]:
    """Run a command and read the JSON of its last line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Run both sides and compare them."""
    from mmlab.simulator import build_tape

    instrument, events = load_feed(args)
    params, task = parameters(events, instrument, args.steps, args.half_ticks)
    tape = build_tape(events)
    task["first_ns"] = int(tape.book["local_ns"][0] - events["exch_ns"][events["kind"] <= 2].min())
    result = our_run(tape, instrument, params, record=True)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        np.save(at / "events.npy", events.view(events.dtype))
        np.save(at / "params.npy", params)
        np.save(at / "peer.npy", peer_events(events, instrument.tick_size, instrument.lot_size))
        mine = {"events": str(at / "events.npy"), "params": str(at / "params.npy"), "runs": args.runs,
                "instrument": instrument.to_dict()}  # fmt: skip
        task |= {"data": str(at / "peer.npy"), "log": str(at / "log.npy"), "runs": args.runs, "warm_rows": WARM_ROWS,
                 "depths": ["roi", "hashmap"], "max_orders": 2 * result.counters["placed"] + 1000}  # fmt: skip
        (at / "mine.json").write_text(json.dumps(mine))
        (at / "task.json").write_text(json.dumps(task))
        ours = subprocess_json([sys.executable, __file__, "--worker", str(at / "mine.json")])
        theirs = subprocess_json([args.peer, str(PEER), str(at / "task.json")])
        log = np.load(at / "log.npy")
    if instrument.inverse:
        theirs["balance"] *= -1  # its ledger of inverse contracts has the other sign
    ours |= our_totals(result, instrument, theirs["last_ns"])
    wrong = differences(our_orders(result, theirs["last_ns"]), log, theirs["last_ns"])
    wrong += [f"{key}: {ours[key]} against {theirs[key]}" for key in ("orders", "fills", "position", "balance", "fee")
              if not close(ours[key], theirs[key])]  # fmt: skip
    return report(args, events.size, ours, theirs, wrong)


def report(
    args: argparse.Namespace, n: int, ours: dict[str, Any], theirs: dict[str, Any], wrong: list[str]
) -> dict[str, Any]:
    """The JSON line."""
    peer_s = min(theirs["cpu_s"][theirs["depth"]])
    first_s, second_s = min(ours["first_cpu_s"]), min(ours["second_cpu_s"])
    ours |= {"cpu_s": first_s, "second_s": second_s, "tape_s": min(ours["tape_cpu_s"]),
             "ns_per_event": 1e9 * first_s / n, "second_ns_per_event": 1e9 * second_s / n}  # fmt: skip
    theirs |= {"cpu_s": peer_s, "ns_per_event": 1e9 * peer_s / n,
               "cpu_s_by_depth": {kind: min(seconds) for kind, seconds in theirs["cpu_s"].items()}}  # fmt: skip
    ratios = {f"runs_{k}": (first_s + (k - 1) * second_s) / (k * peer_s) for k in (1, 2, 10)}
    return {
        "feed": args.feed or f"synthetic, seed {args.seed}", "events": n, "steps_ms": args.steps, "equal": not wrong,
        "differences": wrong, "mmlab": ours, "hftbacktest": theirs,
        "ratios": {"first": first_s / peer_s, "second": second_s / peer_s, **ratios},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000, help="rows of the synthetic feed")
    parser.add_argument("--seed", type=int, default=1, help="its seed")
    parser.add_argument(
        "--sparse", action="store_true", help="the generator's own market: 50 rows a second, near the touch"
    )
    parser.add_argument("--feed", help="a recording instead: Parquet of ours, or hftbacktest's .npz or collector file")
    parser.add_argument("--steps", type=float, default=100.0, help="ms between decisions, 0 for every feed event")
    parser.add_argument("--half-ticks", type=float, default=1.0, help="half-spread of the fixed strategy")
    parser.add_argument("--runs", type=int, default=5, help="repetitions, of which the fastest counts")
    parser.add_argument("--peer", default=str(ROOT / ".venv-bench" / "bin" / "python"), help="python with hftbacktest")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        our_worker(args.worker)
        return
    if not Path(args.peer).exists():
        raise SystemExit(f"no {args.peer}: `make bench` builds it")
    result = compare(args)
    print(json.dumps(result))
    if not result["equal"]:
        raise SystemExit("not equal: " + "; ".join(result["differences"]))


if __name__ == "__main__":
    main()
