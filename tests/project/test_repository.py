"""What git keeps holds no secret, no path of somebody's machine, no output of a notebook."""

import json
import re

import pytest

FORBIDDEN = {
    "path of a machine": rb"(?<![\w.~/])/(root|home|work|Users|opt|mnt)/\w",
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "hexadecimal key": rb"\b0x[0-9a-fA-F]{64}\b|\b(0x)?[0-9a-fA-F]{80}\b",
    "access token": rb"\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|github_pat_\w{22}|xox[abprs]-[\w-]{10}|pypi-\w{16})",
}
EXAMPLES = {
    "path of a machine": [b"open('/%b/x')" % b"home", b" /%b/x" % b"work"],
    "private key": [b"-----BEGIN %b KEY-----" % b"EC PRIVATE"],
    "hexadecimal key": [b"0x" + b"0f" * 32, b"0f" * 40],
    "access token": [b"ghp_" + b"a" * 36],
}
OUTPUT_METADATA = {"papermill", "execution"}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_nothing_forbidden_is_tracked(tracked, root, kind):
    pattern = re.compile(FORBIDDEN[kind])
    found = [
        f"{path.relative_to(root)}:{number}"
        for path in tracked
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_the_pattern_finds_its_examples(kind):
    assert all(re.search(FORBIDDEN[kind], example) for example in EXAMPLES[kind])


def test_notebooks_hold_no_outputs(tracked):
    for path in tracked:
        if path.suffix == ".ipynb":
            notebook = json.loads(path.read_text())
            assert not OUTPUT_METADATA & set(notebook["metadata"]), path
            for cell in notebook["cells"]:
                assert not cell.get("outputs"), path
                assert cell.get("execution_count") is None, path
                assert not OUTPUT_METADATA & set(cell["metadata"]), path
