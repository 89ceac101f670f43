"""The order of tests that run side by side."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.long_tests import MINUTES, longest_first

ROOT = Path(__file__).parents[3]


class Item(NamedTuple):
    nodeid: str


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
def test_each_stretch_begins_with_long_modules(processes: int) -> None:
    """None is lost or doubled, modules stay whole, and the equal stretches begin with long ones."""
    items = [Item(f"tests/unit/test_{at % 50}.py::test_{at}") for at in range(1_000)]
    items += [Item(f"{module}::test_{at}") for module in MINUTES for at in range(5)]
    ordered = longest_first(items, processes)  # type: ignore[arg-type]  # an item's id is all it looks at
    assert sorted(ordered) == sorted(items)
    begins, left = [], len(items)
    for at in range(processes):
        begins.append(ordered[len(items) - left].nodeid.partition("::")[0])
        left -= left // (processes - at)
    assert set(begins) == set(list(MINUTES)[:processes])


def test_the_long_modules_are_there() -> None:
    """A module that moved or went would begin late without a word."""
    assert [module for module in MINUTES if not (ROOT / module).is_file()] == []
