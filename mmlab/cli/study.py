"""Commands on grids: sweep, batch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.cli.command import DONE, WRONG, Command, Parser, config_of

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
FIGURES = ("net_pnl", "pnl_per_million", "fills", "markout_bid_bps", "markout_ask_bps", "max_position")


def grid_arguments(one: Parser, names: str) -> None:
    """Arguments of both."""
    one.add_argument("--grid", metavar="GRID.toml", required=True, help=f"a list of values for each of {names}")
    one.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the study; if there, taken up")


def sweep_arguments(one: Parser) -> None:
    """Arguments of `sweep`."""
    one.add_argument("feed", metavar="FEED", help="a feed file, as made by 'mmlab import'")
    grid_arguments(one, "some parameters, e.g. strategy.gamma = [0.1, 0.2]")
    one.add_argument("--config", metavar="C.toml", help="what all points share: a TOML file with what differs from the"
                     " defaults")  # fmt: skip
    one.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="one parameter of all points")
    one.add_argument("--workers", metavar="N", type=int, help="processes, at most one a core (default: one a core)")
    one.add_argument("--folds", metavar="K", type=int, help="walk-forward folds: choose in sample, show out of sample")
    one.add_argument("--seed", metavar="N", type=int, default=0, help="of everything drawn (default: 0)")
    one.add_argument("--latency-ms", metavar="MS", type=float, help="one way, orders and answers alike (default: 5)")
    one.add_argument(
        "--queue", choices=["risk_averse", "power", "log", "l3"], default="risk_averse", help="queue model"
    )


def sweep(options: argparse.Namespace) -> int:
    """Backtest a grid."""
    from mmlab.lab.inputs import Latency
    from mmlab.lab.study.folds import walk_forward
    from mmlab.lab.study.grid import load_grid
    from mmlab.lab.study.sweep import sweep

    setting: dict[str, Any] = {"queue": options.queue, "seed": options.seed}
    if options.latency_ms is not None:
        setting["latency"] = Latency(entry_ms=options.latency_ms, response_ms=options.latency_ms)
    table = sweep(
        options.feed, config_of(options), load_grid(options.grid), workers=options.workers, folds=options.folds,
        out=options.out, **setting,
    )  # fmt: skip
    parameters = table.attrs["parameters"]
    best = table.sort_values("pnl_per_million", ascending=False).head(SHOWN)
    tried = table.attrs["configurations_tried"]
    print(
        f"{len(table)} points, best first by P&L per million. {tried} configurations were tried on this feed, so the"
        " best of them is flattered."
    )
    _print(best[[*parameters, *(name for name in FIGURES if name in best and name not in parameters)]])
    if options.folds:
        print("\nChosen on the past, then on the time after it (per million; rank 0.5 is as good as chance):")
        _print(walk_forward(table), index=True)
    print(f"\nTable: {options.out / 'results.parquet'}")
    return DONE


def batch_arguments(one: Parser) -> None:
    """Arguments of `batch`."""
    one.add_argument("notebook", metavar="NOTEBOOK.ipynb", help="with a cell tagged 'parameters'")
    grid_arguments(one, "its parameters, e.g. seed = [1, 2, 3]")
    one.add_argument("--workers", metavar="N", type=int, default=1, help="notebooks at a time (default: 1)")
    one.add_argument("--retries", metavar="N", type=int, default=2, help="where a kernel does not start (default: 2)")


def batch(options: argparse.Namespace) -> int:
    """Execute a notebook over a grid."""
    from mmlab.lab.study.batch import batch
    from mmlab.lab.study.grid import load_grid

    table = batch(
        options.notebook, load_grid(options.grid), options.out, workers=options.workers, retries=options.retries
    )
    _print(table)
    print(f"\nTable: {options.out / 'results.csv'}")
    failed = table[table["error"] != ""]
    if len(failed):
        first = failed.iloc[0]
        print(
            f"mmlab batch: {len(failed)} of {len(table)} notebooks failed, the first with {first['error']}: see"
            f" {options.out / first['notebook']}; the same command does them again",
            file=sys.stderr,
        )
    return WRONG if len(failed) else DONE


def _print(table: pd.DataFrame, *, index: bool = False) -> None:
    print(table.to_string(index=index, float_format="{:.6g}".format, na_rep=""))


COMMANDS = (
    Command(
        "sweep",
        "Backtest every point of a grid of parameters on a feed; one table.",
        "mmlab sweep data/sample.parquet --grid config/sweep_grid.toml --folds 5 --out studies/gamma",
        sweep_arguments,
        sweep,
    ),
    Command(
        "batch",
        "Execute a notebook for every point of a grid of its parameters.",
        "mmlab batch notebooks/01_quickstart.ipynb --grid config/batch_grid.toml --out studies/quickstart",
        batch_arguments,
        batch,
    ),
)
