"""Whether an event costs the same in requests of all sizes, beside what a request costs whatever is in it: a line, a verdict."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks import verdict

_RATIO_MAX = 1.5


def flatness(way: str, by_size: Mapping[str, Any]) -> verdict.Target:
    """Whether an event costs the same in requests of all sizes; what a request costs, whatever is in it, stands beside."""
    beside = by_size["beside_the_line"].values()
    note = f"an event {by_size['fitted_us_an_event']:.1f} us, a request {by_size['fitted_us_a_request']:.0f} beside it"
    note += f", of which the floor has {by_size['floor']['fitted_us_a_request']:.0f}"
    return verdict.at_most(f"{way}: an event's cost by size", max(beside) / min(beside), _RATIO_MAX, note=note)


def on_a_line(costs: Mapping[int, Sequence[float]]) -> dict[str, Any]:
    """By events a request, of what an event cost each round (us): the median, the line through these, how each lies beside it."""
    medians = {size: statistics.median(each) for size, each in costs.items()}
    a_request, an_event = _line({size: cost * size for size, cost in medians.items()})
    return {
        "cpu_us_an_event": medians,
        "cpu_us_an_event_by_round": dict(costs),
        "fitted_us_an_event": an_event,
        "fitted_us_a_request": a_request,
        "beside_the_line": {size: cost * size / (a_request + an_event * size) for size, cost in medians.items()},
    }


def _line(costs: Mapping[int, float]) -> tuple[float, float]:
    """What a request costs and what an event does, by the cost of requests of so many events: least squares of shares."""
    shares = [(1 / cost, size / cost) for size, cost in costs.items()]  # how often a request and an event fit into the cost
    (rr, re, ee), (r, e) = (
        map(sum, zip(*((x * x, x * y, y * y) for x, y in shares), strict=True)),
        map(sum, zip(*shares, strict=True)),
    )
    return (r * ee - e * re) / (rr * ee - re**2), (e * rr - r * re) / (rr * ee - re**2)
