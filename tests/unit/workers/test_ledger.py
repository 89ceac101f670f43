"""Where reading begins."""

import pytest

from stream_workers.ledger import Beginning, begin


@pytest.mark.parametrize(
    ("committed", "frontier", "earliest", "expected"),
    [
        (None, 0, 0, Beginning(0, None)),
        (50, 70, 0, Beginning(50, None)),
        (70, 50, 0, Beginning(50, None)),
        (70, 0, 0, Beginning(0, None)),
        (None, 30, 0, Beginning(30, None)),
        (70, 50, 60, Beginning(60, 50)),
        (None, 0, 10, Beginning(10, 0)),
        (5, 20, 10, Beginning(10, None)),
    ],
    ids=["new", "group-behind", "ledger-behind", "empty-store", "new-group", "log-cut", "log-cut-before-us", "covered-cut"],
)
def test_the_lower_of_group_and_ledger_wins(committed: int | None, frontier: int, earliest: int, expected: Beginning) -> None:
    """Reading begins at the lower, never before the log does, and what was lost is named exactly."""
    assert begin(committed=committed, frontier=frontier, earliest=earliest) == expected
