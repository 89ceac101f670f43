"""What `make` starts besides the tests: nothing here runs it, so at least it must load and explain itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(set(re.findall(r"python -m (tests\.[\w.]+)", (ROOT / "Makefile").read_text(encoding="utf-8"))))


def test_there_are_some() -> None:
    """The pattern finds them."""
    assert "tests.benchmarks.rebuild_drill" in COMMANDS


@pytest.mark.parametrize("module", COMMANDS)
def test_help(module: str) -> None:
    """It says how it is used, which takes all that it imports."""
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
