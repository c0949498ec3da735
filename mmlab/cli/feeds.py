"""Commands on feeds: import, describe, calibrate."""

from __future__ import annotations

import argparse
from typing import Any

from mmlab.cli.command import DONE, Command, Parser, assignment, progress_bar

INSTRUMENT: dict[str, tuple[Any, str]] = {
    "symbol": (str, "name; where the files hold several markets, the one to import"),
    "tick_size": (float, "smallest price step; goes with --lot-size"),
    "lot_size": (float, "smallest size step; goes with --tick-size"),
    "min_size": (float, "smallest order (default: one lot)"),
    "min_notional": (float, "smallest order value, quote currency (default: 0)"),
    "maker_fee_bps": (float, "maker fee, a rebate is < 0 (default: 0)"),
    "taker_fee_bps": (float, "taker fee (default: 0)"),
    "contract": (str, "linear (default) or inverse"),
    "contract_size": (float, "linear: base a unit is worth; inverse: quote a contract is worth (default: 1)"),
    "settle": (str, "currency of fees and P&L"),
}


def import_arguments(one: Parser) -> None:
    """Arguments of `import`."""
    one.add_argument("files", metavar="FILE", nargs="+", help="recorded files; several are one recording")
    one.add_argument("--format", required=True, help="hftbacktest, bitmex, lobster, lighter, tardis or snapshots")
    one.add_argument("--out", metavar="X.parquet", required=True, help="feed file to write")
    group = one.add_argument_group("instrument", "Tick and lot are inferred from the data unless both are given.")
    for name, (kind, text) in INSTRUMENT.items():
        metavar = "TEXT" if kind is str else "X"
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar=metavar, type=kind, help=text)
    one.add_argument(
        "-o",
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="option of the format; may be repeated",
    )


def import_(options: argparse.Namespace) -> int:
    """Write a feed file."""
    from mmlab.lab.import_files import import_files

    known = {name: value for name in INSTRUMENT if (value := getattr(options, name)) is not None}
    chosen = dict(assignment(text) for text in options.option)
    with progress_bar("Importing") as advance:
        feed = import_files(options.files, options.format, known, chosen, advance)
        path = feed.save(options.out)
    print(feed.describe())
    print(path)
    return DONE


def feed_argument(one: Parser) -> None:
    """The feed of a command that takes nothing else."""
    one.add_argument("feed", metavar="FEED", help="a feed file, as made by 'mmlab import'")


def describe(options: argparse.Namespace) -> int:
    """Print what is in a feed."""
    from mmlab.lab.inputs import load_feed

    print(load_feed(options.feed).describe())
    return DONE


FITTED = {"A": "1/s", "kappa": "1/price", "sigma": "price/sqrt(s)", "gamma": "1/price", "mid": "price", "r2": "",
          "n_orders": "market orders"}  # fmt: skip


def calibrate(options: argparse.Namespace) -> int:
    """Print a fit."""
    from mmlab.lab.inputs import load_feed
    from mmlab.lab.warm_up import calibrate

    fit = calibrate(load_feed(options.feed))
    for name, unit in FITTED.items():
        print(f"{name:<9} {getattr(fit, name):.6g} {unit}".rstrip())
    print(f"{fit.fallback}\n" if fit.fallback else "")
    print(fit.table.to_string(index=False, float_format="{:.6g}".format))
    return DONE


COMMANDS = (
    Command(
        "import",
        "Turn recorded files into a feed file.",
        "mmlab import btc_20240808.gz btc_20240809.gz --format hftbacktest --out btc.parquet",
        import_arguments,
        import_,
    ),
    Command(
        "describe",
        "Say what is in a feed file, and what was met on import.",
        "mmlab describe data/sample.parquet",
        feed_argument,
        describe,
    ),
    Command(
        "calibrate",
        "Fit A, kappa, sigma and gamma to the warm-up of a feed.",
        "mmlab calibrate data/sample.parquet",
        feed_argument,
        calibrate,
    ),
)
