"""Every claim of the first milestone, measured on this machine: a line each, PASS or FAIL, with figures.

    make evidence-02
    .venv/bin/python benchmarks/evidence_02.py --only oracles      # one group

Long: about ten minutes. Correctness lines are also tests; speed lines are measured here only.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from evidence import ROOT, Line, main, run_script, run_tests
from recordings import FOUR, RECORDINGS, load

import mmlab
from mmlab.events import Kind, Reason

GROUPS: dict[str, Callable[[], Iterator[Line]]] = {}


def group(function: Callable[[], Iterator[Line]]) -> Callable[[], Iterator[Line]]:
    """Register a group of lines."""
    GROUPS[function.__name__] = function
    return function


@group
def trades() -> Iterator[Line]:
    """The default config trades on each recording."""
    for name in RECORDINGS:
        run = mmlab.backtest(load(name))
        s = run.summary
        uptime = min(s["uptime_bid"], s["uptime_ask"])
        ok = s["fills"] > 0 and uptime > 0.5 and not run.gates["action"].eq("latch").any()
        figures = (
            f"fills {s['fills']}, quoting {uptime:.1%} of the time, trips {s['kill_trips']},"
            f" gate triggers {s['gate_triggers']}, net {s['pnl_per_million']:.1f} per million"
        )
        yield f"Config() trades on {name}", ok, figures


@group
def reports() -> Iterator[Line]:
    """Reports of the four recordings, in a real browser."""
    from look import open_page  # needs chromium

    folder = ROOT / "artefacts" / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FOUR:
        path = mmlab.backtest(load(name)).report(folder / f"{name.replace(' ', '_')}.html")
        seen = open_page(path, folder / f"{name.replace(' ', '_')}.png")
        ok = seen["requests"] == 0 and not seen["errors"] and seen["figures"] >= 8
        size = path.stat().st_size / 1e6
        yield f"report of {name}", ok, f"{size:.1f} MB, {seen['figures']} figures, {seen['requests']} requests, {path}"


AS_2008 = {
    (0.1, "inventory"): (64.893, 6.543, 2.927),
    (0.01, "inventory"): (68.400, 8.961, 5.213),
    (1.0, "inventory"): (31.455, 4.838, 1.641),
    (0.1, "symmetric"): (68.228, 13.457, None),
    (0.01, "symmetric"): (68.666, 13.678, None),
    (1.0, "symmetric"): (43.869, 10.751, None),
}
"""Exact moments of the discrete model: mean profit, std of profit, std of the final inventory."""


def std_error(x: np.ndarray) -> float:
    """Standard error of a sample standard deviation, by the sample kurtosis."""
    d = x - x.mean()
    m2, m4 = (d**2).mean(), (d**4).mean()
    return float(np.sqrt((m4 - m2**2) / (4 * m2 * x.size)))


@group
def oracles() -> Iterator[Line]:
    """Avellaneda-Stoikov 2008, GLFT, identities, LOBSTER executions."""
    for (gamma, strategy), (mean, std, std_q) in AS_2008.items():
        paths = mmlab.theory.simulate(gamma, strategy, paths=100_000)
        profit, q = paths["profit"].to_numpy(), paths["final_q"].to_numpy(float)
        z = [
            (profit.mean() - mean) / (profit.std() / np.sqrt(profit.size)),
            (profit.std(ddof=1) - std) / std_error(profit),
        ]
        if std_q is not None:
            z.append((q.std(ddof=1) - std_q) / std_error(q))
        text = f"mean {profit.mean():.3f}, std {profit.std(ddof=1):.3f}, std q {q.std(ddof=1):.3f}"
        yield f"A-S 2008 gamma {gamma} {strategy}", max(map(abs, z)) < 4, f"{text}, largest |z| {max(map(abs, z)):.2f}"
    halves = [mmlab.theory.glft(q, 0.01, 0.3, 0.9, 0.3).bid for q in (-10, 0, 10)]
    yield "GLFT half-spreads", np.allclose(halves, [2.634257, 3.312915, 3.991574], atol=5e-7), str(np.round(halves, 6))
    run = mmlab.backtest(load(FOUR[0]))
    yield from identities(run)
    yield lobster_touch()


def identities(run: mmlab.Run) -> Iterator[Line]:
    """Markout = capture + adverse; bridge sums to net P&L; cash identity at every row."""
    f = run.fills
    gap = (f["markout_1s_bps"] - f["spread_capture_bps"] - f["adverse_1s_bps"]).abs().max()
    yield "markout = spread capture + adverse", gap < 1e-9, f"largest difference {gap:.1e} bps on {len(f)} fills"
    from mmlab.lab.money import bridge

    table = bridge(run)["bps"]
    rest = abs(table.drop("net").sum() - table["net"])
    yield (
        "bridge sums to net P&L",
        rest < 1e-9 * max(1.0, abs(table["net"])),
        f"difference {rest:.1e} bps of {table['net']:.3f}",
    )
    m, i = run.metrics.dropna(subset=["mid"]), run.instrument
    size = m["position"] * i.contract_size
    worth = -size / m["mid"] if i.inverse else size * m["mid"]
    rest = (m["cash"] + worth - m["realised"] - m["unrealised"]).abs().max()
    scale = m["cash"].abs().max()
    yield (
        "cash + position*mid = realised + unrealised",
        rest < 1e-9 * max(scale, 1.0),
        f"{rest:.1e} of {scale:.3g}, {len(m)} rows",
    )


def lobster_touch() -> Line:
    """Every visible execution happens at the touch of the rebuilt book."""
    events = load("LOBSTER AMZN").events
    levels: dict[int, dict[int, int]] = {1: {}, -1: {}}
    executions, wrong = 0, 0
    for kind, side, price, size in zip(
        *(events[c].tolist() for c in ("kind", "side", "price_ticks", "size_lots")), strict=True
    ):
        book = levels.get(side)
        if kind == Kind.EXECUTE and book is not None:
            executions += 1
            wrong += price != (max(book) if side > 0 else min(book))
        if kind in (Kind.ADD, Kind.CANCEL, Kind.EXECUTE) and book is not None:
            left = book.get(price, 0) + (size if kind == Kind.ADD else -size)
            book[price] = left
            if left <= 0:
                del book[price]
        elif kind == Kind.DEPTH and book is not None:
            book[price] = size
    return "LOBSTER executions at the touch", wrong == 0, f"{executions - wrong} of {executions}"


@group
def parity() -> Iterator[Line]:
    """Hftbacktest 2.4.4: the same orders and fills; CPU time and memory."""
    for steps in (100, 0):
        out = run_script("hftbacktest_parity.py", "--events", "2000000", "--steps", str(steps))
        yield from parity_lines(out, "every event" if steps == 0 else "100 ms steps")


def parity_lines(out: dict, where: str) -> Iterator[Line]:
    """Lines of one parity run."""
    ours, peer, ratio = out["mmlab"], out["hftbacktest"], out["ratios"]
    same = out["equal"]
    text = ", ".join(f"{key} {ours[key]:g}/{peer[key]:g}" for key in ("orders", "fills", "position", "balance", "fee"))
    yield f"parity, {where}", same, text
    yield f"first run <= 1/4, {where}", ratio["first"] <= 0.25, f"ratio {ratio['first']:.3f}"
    yield f"second run <= 1/10, {where}", ratio["second"] <= 0.10, f"ratio {ratio['second']:.3f}"
    yield f"runs 1, 2, 10, {where}", True, ", ".join(f"{n}: {ratio[f'runs_{n}']:.3f}" for n in (1, 2, 10))
    yield (
        f"peak memory below, {where}",
        ours["peak_mb"] < peer["peak_mb"],
        f"{ours['peak_mb']:.0f} / {peer['peak_mb']:.0f} MB",
    )
    yield f"first call in a fresh process, {where}", ours["first_call_s"] < 1, f"{ours['first_call_s']:.2f} s"


@group
def markouts() -> Iterator[Line]:
    """Six horizons against pandas.merge_asof."""
    out = run_script("markouts.py")
    yield "markouts >= 10x pandas.merge_asof", out["ratio"] >= 10, json.dumps(out)


@group
def determinism() -> Iterator[Line]:
    """Equal bytes of everything a run writes, but for times in run.json."""
    feed = load(FOUR[0])
    with tempfile.TemporaryDirectory() as folder:
        digests = []
        for k in range(2):
            path = mmlab.backtest(feed[:], seed=7).save(Path(folder) / str(k))
            files = sorted(p for p in path.rglob("*") if p.is_file() and p.name not in ("run.json", "log.jsonl"))
            digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:12] for p in files})
        same = digests[0] == digests[1]
        yield "equal bytes", same, f"{len(digests[0])} files: {', '.join(digests[0])}"


@group
def demo() -> Iterator[Line]:
    """`mmlab demo` on a warm machine."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).parent / "mmlab"), "demo", "--out", f"{folder}/demo"],
            check=False,
            capture_output=True,
            text=True,
        )
        took = time.monotonic() - start
        report = Path(folder, "demo", "report.html")
        ok = done.returncode == 0 and took < 60 and report.exists()
        yield (
            "demo within 60 s",
            ok,
            f"{took:.1f} s, report {report.stat().st_size / 1e6:.1f} MB" if ok else done.stderr,
        )


@group
def suites() -> Iterator[Line]:
    """Scripted proofs: gates, kill switches, bad input, as tests."""
    for name, places in {
        "gates and kill switches": ["tests/kernels"],
        "fill rules, queue models, twin": ["tests/simulator"],
        "bad input": ["tests/feeds", "tests/test_cli.py", "tests/test_config.py"],
        "metrics against twins": ["tests/test_metrics.py"],
    }.items():
        yield name, *run_tests(*places)


@group
def pictures() -> Iterator[Line]:
    """One picture of each gate in the docs, scripted and recorded."""
    text = (ROOT / "docs" / "gates.md").read_text()
    found = sorted((ROOT / "docs" / "images" / "gates").glob("*"))
    missing = [p.name for p in found if p.name not in text]
    yield "gate pictures", bool(found) and not missing, f"{len(found)} pictures, not shown: {missing}"


def uptime_reasons(run: mmlab.Run) -> dict[str, float]:
    """Share of seconds in which each reason stood on a side: for a look when a line fails."""
    m = run.metrics
    return {r.name: float(((m["bid_reasons"] | m["ask_reasons"]) & r.value).astype(bool).mean()) for r in Reason}


if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
