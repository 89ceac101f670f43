"""Bounds how many names of one kind a project's totals of a day hold. Names beyond the bound are added up as `__other__`.

Deltas, steps and runs keep every name: only totals, which are kept for long, are bounded. What is known stays as it is: a name
that the day's totals have keeps its row, and so does one that the totals of the days before have. No I/O, no clock.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from agenttracer.wire.vocabulary import OTHER_NAME

NAMES_MAX: Final = 1_000
"""New names of one kind in a project and a day. A name with an id in it makes as many as there are runs."""
_UNCOUNTED: Final = frozenset({"", OTHER_NAME})


class NameCap:
    """The names of one kind (of agents, say) in the totals of one project and day."""

    def __init__(self, known: AbstractSet[str], *, most: int) -> None:
        self._known = known
        self._most = most

    def exceeded_by(self, incoming: Mapping[str, int]) -> bool:
        """Whether some of the incoming names may have to be renamed. They map to what their deltas count in sum."""
        return OTHER_NAME in self._known or len((self._known | incoming.keys()) - _UNCOUNTED) > self._most

    def renamed(self, incoming: Mapping[str, int], recent: AbstractSet[str]) -> frozenset[str]:
        """The incoming names that become `__other__`. `recent` are names in totals of the days before.

        A name that the day does not have and that counts nothing more is a correction of what was counted as `__other__`. A day
        that has counted a name so admits no further one, though there be room again: it may be the same, and what is taken back
        of it would count below zero.
        """
        new = {name for name in incoming if name not in self._known and name not in _UNCOUNTED}
        corrected = {name for name in new if OTHER_NAME in self._known and incoming[name] <= 0}
        admitted = (new - corrected) & recent
        room = 0 if OTHER_NAME in self._known else max(0, self._most - len(self._known - _UNCOUNTED) - len(admitted))
        by_count = sorted(new - corrected - admitted, key=lambda name: (-incoming[name], name))
        return frozenset(corrected | set(by_count[room:]))


def counted(rows: Iterable[tuple[int, str, int]]) -> dict[int, Counter[str]]:
    """By day, what the deltas of each name count in sum. A row is a day, a name and a count."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for day, name, count in rows:
        found[day][name] += count
    return found
