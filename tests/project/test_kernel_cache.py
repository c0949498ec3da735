"""Compiled kernels are compiled once, and again when any file they are made of changes."""

import subprocess
import sys
from pathlib import Path

import mmlab.kernels.policy

CALLED = "from mmlab.kernels.policy import kernel\n\n@kernel\ndef inner(x):\n    return x + {step}\n"
CALLER = (
    "from mmlab.kernels.policy import kernel\nfrom mmlab.kernels.called import inner\n\n"
    "@kernel\ndef outer(x):\n    return 10 * inner(x)\n"
)
PROGRAM = (
    "from mmlab.kernels.caller import outer\n"
    "print(outer(1), sum(outer.stats.cache_hits.values()), sum(outer.stats.cache_misses.values()))"
)


def run(folder: Path) -> list[int]:
    """Result, cache hits and cache misses of `outer(1)` in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_a_change_in_a_called_file_recompiles(tmp_path):
    kernels = tmp_path / "mmlab" / "kernels"
    kernels.mkdir(parents=True)
    for package in (kernels.parent, kernels):
        (package / "__init__.py").touch()
    (kernels / "policy.py").write_text(Path(mmlab.kernels.policy.__file__).read_text())
    (kernels / "caller.py").write_text(CALLER)
    (kernels / "called.py").write_text(CALLED.format(step=1))
    assert run(tmp_path) == [20, 0, 1]
    assert run(tmp_path) == [20, 1, 0]
    (kernels / "called.py").write_text(CALLED.format(step=2))
    assert run(tmp_path) == [30, 0, 1]
