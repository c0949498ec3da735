"""Imports go one way: the contracts hold, cover every room, and do catch what they forbid."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLANTED = {
    "kernels/planted.py": ["mmlab", "mmlab.config", "mmlab.instrument", "mmlab.simulator", "time", "random", "pathlib"],
    "simulator/planted.py": [
        "mmlab.feeds",
        "mmlab.exchange",
        "mmlab.venues",
        "mmlab.telemetry",
        "asyncio",
        "datetime",
        "pandas",
    ],
    "feeds/planted.py": ["mmlab.config", "mmlab.lab", "mmlab.simulator"],
    "telemetry/planted.py": ["mmlab.kernels", "mmlab.instrument", "mmlab.lab"],
    "wire/planted.py": ["mmlab.kernels", "mmlab.feeds"],
    "venues/planted.py": ["mmlab", "mmlab.orders", "mmlab.kernels", "mmlab.telemetry", "mmlab.lab"],
    "paper_server/planted.py": ["mmlab", "mmlab.orders", "mmlab.venues", "mmlab.kernels", "mmlab.engine", "mmlab.lab"],
    "engine/planted.py": ["mmlab", "mmlab.simulator", "mmlab.metrics", "mmlab.lab"],
    "orders/planted.py": ["mmlab.venues", "mmlab.simulator", "asyncio"],
    "lab/planted.py": ["mmlab.cli", "mmlab.views"],
    "views/planted.py": ["mmlab", "mmlab.engine", "mmlab.kernels", "mmlab.metrics", "mmlab.orders", "mmlab.feeds"],
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    program = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(program, check=False, cwd=folder, capture_output=True, text=True)


def test_contracts_hold(root):
    done = lint_imports(root)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_under_a_contract(root, pyproject):
    rooms = {f"mmlab.{path.stem}" for path in (root / "mmlab").iterdir() if path.suffix == ".py" or path.is_dir()}
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    covered = [room for contract in contracts for room in contract.get("protected_modules", [])]
    no_room = {"mmlab.errors", "mmlab.__init__", "mmlab.__pycache__"}  # errors are open to all
    assert sorted(covered) == sorted(rooms - no_room | {"mmlab"})


@pytest.fixture(scope="module")
def verdict_on_planted(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(root / "pyproject.toml", folder)
    shutil.copytree(root / "mmlab", folder / "mmlab", ignore=shutil.ignore_patterns("__pycache__"))
    for name, imports in PLANTED.items():
        (folder / "mmlab" / name).write_text("".join(f"import {module}\n" for module in imports))
    return lint_imports(folder)


@pytest.mark.parametrize(("name", "module"), [(name, module) for name in PLANTED for module in PLANTED[name]])
def test_a_planted_import_is_caught(verdict_on_planted, name, module):
    planted = "mmlab." + name.removesuffix(".py").replace("/", ".")
    assert verdict_on_planted.returncode == 1
    assert f"{planted} -> {module} " in verdict_on_planted.stdout.replace("\n", " ")
