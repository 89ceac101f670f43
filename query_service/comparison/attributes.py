"""What a selection of runs shares that the rest does not: attributes by how sure their difference is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from query_service.comparison.intervals import CONFIDENCE, Difference, Rate, exact_p_value, holm, rate_difference
from query_service.store.rows import AttributeCount, Contrast

SHOWN_MAX: Final = 100
"""Attributes that are answered with, the surest first: more than a person reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """An attribute by its share of both sides. The difference is that of the selection, `p_corrected` holds for all tests."""

    count: AttributeCount
    selection_rate: float
    rest_rate: float
    difference: Difference
    p_corrected: float

    @property
    def significant(self) -> bool:
        """Whether the two sides differ in it, all tests considered."""
        return self.p_corrected < 1 - CONFIDENCE


def shared(found: Contrast, attributes: Sequence[AttributeCount]) -> tuple[list[Shared], int]:
    """These attributes of both sides, the surest first, and how many tests there were.

    Each is tested exactly, since among many tests the tail counts, where a normal approximation says too little. What all runs or
    none have is no test. Of the bounds of one number the surest is answered with; each was a test.
    """
    tested = [(one, *_rates(one, found)) for one in attributes if 0 < one.selection + one.rest < found.selection + found.rest]
    p_values = [exact_p_value(rest, selection) for _, selection, rest in tested]
    corrected = holm(p_values)
    order = sorted(range(len(tested)), key=lambda place: (p_values[place], -_distance(*tested[place][1:])))
    best: dict[tuple[str, str | None, str], int] = {}
    for place in order:
        one = tested[place][0]
        best.setdefault((one.attribute, one.key, one.value), place)
    kept = [place for place in order if place in set(best.values())][:SHOWN_MAX]
    return [_shared(*tested[place], p_value=p_values[place], p_corrected=corrected[place]) for place in kept], len(tested)


def _rates(one: AttributeCount, found: Contrast) -> tuple[Rate, Rate]:
    return Rate(one.selection, found.selection), Rate(one.rest, found.rest)


def _distance(selection: Rate, rest: Rate) -> float:
    return abs(selection.value - rest.value)


def _shared(one: AttributeCount, selection: Rate, rest: Rate, *, p_value: float, p_corrected: float) -> Shared:
    by_score = rate_difference(rest, selection)
    return Shared(
        count=one,
        selection_rate=selection.value,
        rest_rate=rest.value,
        difference=Difference(by_score.value, by_score.low, by_score.high, p_value),
        p_corrected=p_corrected,
    )
