"""What the benchmark of slow clients calls good enough."""

from typing import Any

import pytest

from tests.benchmarks.bench_slow_clients import judge, table


def kind(ratio: float) -> dict[str, Any]:
    return {"rates": {"without": 1_000.0, "with": 1_000.0 * ratio}, "ratio": ratio}


@pytest.mark.parametrize(
    ("saturated", "paced", "passed"), [(0.95, 1.0, True), (1.0, 0.95, True), (0.949, 1.0, False), (1.0, 0.949, False)]
)
def test_judge(saturated: float, paced: float, *, passed: bool) -> None:
    """Good traffic must keep 95 % of its rate at full speed and at half of it."""
    assert judge(kind(saturated), kind(paced)) is passed


def test_table() -> None:
    """One line each, under what the columns are."""
    lines = table(saturated=kind(0.96), paced=kind(1.0)).splitlines()
    assert [line.split()[-1] for line in lines] == ["kept", "0.960", "1.000"]
