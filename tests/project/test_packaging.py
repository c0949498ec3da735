"""The wheel holds the package, its command and its licence, and nothing else."""

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points

import pytest

import mmlab


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_every_module_and_nothing_else(wheel, tracked, root):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    kept = {str(path.relative_to(root)) for path in tracked if path.is_relative_to(root / "mmlab")}
    assert kept <= names
    assert "mmlab/py.typed" in names
    served = {"mmlab/dashboards/app.py", "mmlab/dashboards/login.html", "mmlab/views/parts/bar.js"}
    assert served <= names
    assert all(name.startswith("mmlab/") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_wheel_says_what_it_is(wheel):
    info = f"mmlab-{mmlab.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "mmlab = mmlab.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_the_command_loads():
    (command,) = entry_points(group="console_scripts", name="mmlab")
    assert callable(command.load())
