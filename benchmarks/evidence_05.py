"""Every claim of the fourth milestone, Lighter: a line each, PASS or FAIL, with figures.

    make evidence-05
    .venv/bin/python benchmarks/evidence_05.py --only kills      # one group

Long: about an hour, most of it trading in real time. Correctness lines are also tests; speed is measured here only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from evidence import Group, Line, main, run_script, run_tests

BANK_P50_US, DEMAND_P50_US, CANCEL_P50_US = 250.0, 900.0, 150.0
LEAST_HITS, LEAST_TX_PER_S = 0.90, 2.0
WIRE = {"quiet": "10 minutes at 10x", "faults": "the same with the fault plan on"}


def client() -> Iterator[Line]:
    """The official client, unmodified, against the paper server."""
    for what, place in {
        "SignerClient: check, create, modify, cancel(-all), market, batches, nonces, versions": "test_signer_client",
        "WsClient and every channel": "test_stream",
        "OrderApi, AccountApi, TransactionApi parse every answer": "test_reads",
    }.items():
        yield what, *run_tests(f"tests/paper_server/{place}.py")
    yield "paper server: state, faults, options, money, nonces, quota", *run_tests("tests/paper_server")


def adapter() -> Iterator[Line]:
    """The adapter: recovery, signing, fuzz."""
    yield "adapter, with fuzz of every inbound frame and answer", *run_tests("tests/venues/lighter")
    yield (
        "keys in no file, log, exception or process list; dry run; restart",
        *run_tests("tests/lab/test_live_process.py"),
    )
    yield "arming", *run_tests("tests/lab/test_live_safety.py")
    yield "payloads signed ahead", *run_tests("tests/engine/test_presign.py")


def wire() -> Iterator[Line]:
    """The whole engine on the wire."""
    for what, words in WIRE.items():
        row = run_script("wire.py", "--only", what, check=False)[what]
        yield (
            f"engine, adapter, signer, paper server: {words}", row["good"],
            (f"{row['transactions']} transactions, {row['reused']} reused, {row['looks']} looks: most"
             f" {row['most_long']:g}/{row['most_short']:g} of {row['hard_limit']:g}, {row['locked']} locked;"
             f" left {row['left']}; position {row['position']:g} equal: {row['lots_equal']};"
             f" {row['trades']} trades equal: {row['trades_equal']}; fees {row['fees']:.6g} = {row['our_fees']:.6g}"),
        )  # fmt: skip


def latency() -> Iterator[Line]:
    """Market frame to order bytes."""
    result = run_script("wire_latency.py")
    for name, limit in (("bank", BANK_P50_US), ("on demand", DEMAND_P50_US)):
        row = result[name]["bytes_us"]
        yield (
            f"frame received -> order bytes written, {name}", row.get("p50", 1e9) < limit,
            f"p50 {row.get('p50')} us (limit {limit:g}), p90 {row.get('p90')}, p99 {row.get('p99')}, n = {row['n']}",
        )  # fmt: skip
    row, plain = result["bank"]["cancel_us"], result["plain"]
    yield (
        "cancel decided -> bytes written, bank", row.get("p50", 1e9) < CANCEL_P50_US,
        (f"p50 {row.get('p50')} us (limit {CANCEL_P50_US:g}), n = {row['n']}; plain client, create_order over REST:"
         f" p50 {plain['p50']} us, p99 {plain['p99']}"),
    )  # fmt: skip


def hits() -> Iterator[Line]:
    """The bank on ten minutes of AMZN."""
    result = run_script("presign.py", "--only", "on")
    row = result["bank_on"]
    good = row["hit_rate"] > LEAST_HITS and row["per_s_of_market"] >= LEAST_TX_PER_S
    yield (
        "cache hits, four keys, default config, refresh tolerance 0", good,
        (f"{row['hit_rate']:.1%} of {row['asked']} creates, modifies, cancels; {row['per_s_of_market']:.2f} a second;"
         f" {row['wasted_per_used']:.1f} wasted signatures per used one, signer {row['signer_cpu']:.1%} of a core"),
    )  # fmt: skip


def kills() -> Iterator[Line]:
    """Kill -9 of engine, owner and supervisor, singles and pairs."""
    for row in run_script("kills.py", "--repeats", "2", check=False)["trials"]:
        yield f"kill -9 {row['victims']}", row["good"], f"empty after {row['empty_s']} s (limit {row['limit_s']:g})"


def restarts() -> Iterator[Line]:
    """A killed engine, started again."""
    row = run_script("restarts.py", check=False)
    yield (
        "restarts: every stray adopted or cancelled, both sides agree", row["good"] == row["runs"] >= 100,
        f"{row['good']} of {row['runs']}; {row['strays']} orders left behind by those killed {row['bad'] or ''}",
    )  # fmt: skip


def modes() -> Iterator[Line]:
    """What slots and modes buy."""
    for row in run_script("slots_modes.py")["rows"]:
        yield (
            f"slots {row['slots']}, {row['ack_mode']}, 200 ms", row["tx"] > 0,
            f"no quote {row['bare']:.2%}, stale {row['stale']:.2%}, {row['tx']} transactions",
        )  # fmt: skip


def notebook() -> Iterator[Line]:
    """08 through papermill."""
    yield "notebook 08", *run_tests("tests/test_notebooks.py", "-k", "08")


GROUPS: dict[str, Group] = {
    "client": client, "adapter": adapter, "wire": wire, "latency": latency, "hits": hits, "kills": kills,
    "restarts": restarts, "modes": modes, "notebook": notebook,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(__doc__, GROUPS))
