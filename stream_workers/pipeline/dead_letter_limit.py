"""The limit on dead letters, project by project, as policy and pure state: who burns is parked, and the others go on.

A project that is parked has its records held back: they become dead letters with the reason `parked`, which a retry stores
(`agenttracer dlq`). After `park_s` its records are tried again; the first one that is refused then parks it again. Only where
several projects are parked one after the other and nothing of anybody is stored in between is the fault not theirs: that stops
the worker.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from stream_workers.errors import DeadLetterLimitError

WINDOW_RECORDS: Final = 1_000
PARK_S: Final = 300.0
"""Long enough that trying again costs nothing, short enough that a person who mends the cause sees it end."""
PROJECTS_MAX: Final = 3
REFUSALS_MAX: Final = 40
"""Transactions of one batch that may be refused for one project's content: three bad records out of some thousand are found by
halving with so many. What is left of it is held back then, so that the same SQLSTATE is not searched for again and again."""


class DeadLetterLimit:
    """Parks a project with more than `max_share` of its last 1,000 records as dead letters, or `max_in_a_row` in a row.

    Records of which no project can be read count for the project "". `max_projects` parked ones in a row, with no record of any
    project stored in between, raise DeadLetterLimitError.
    """

    def __init__(
        self,
        *,
        max_share: float,
        max_in_a_row: int,
        max_projects: int = PROJECTS_MAX,
        refusals_max: float = REFUSALS_MAX,
        park_s: float = PARK_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_dead = max_share * WINDOW_RECORDS
        self._max_in_a_row = max_in_a_row
        self._max_projects = max_projects
        self.refusals_max = refusals_max
        self._park_s = park_s
        self._clock_s = clock_s
        self._windows: dict[str, _Window] = {}
        """Of projects that had a dead letter lately: nearly always none."""
        self._parked_until: dict[str, float] = {}
        self._parked_in_a_row: set[str] = set()

    @classmethod
    def none(cls) -> "DeadLetterLimit":
        """Never parks: for a store that is filled from a topic which the workers have judged already."""
        return cls(max_share=1.0, max_in_a_row=1 << 62, refusals_max=inf)

    def is_parked(self, project: str) -> bool:
        """Whether the project's records are held back now. At the end of that time one more dead letter parks it again."""
        until_s = self._parked_until.get(project)
        if until_s is None:
            return False
        if self._clock_s() < until_s:
            return True
        del self._parked_until[project]
        self._windows[project] = _Window(in_a_row=self._max_in_a_row - 1)
        return False

    def parked(self) -> Sequence[str]:
        """The projects that are parked now."""
        return sorted(project for project in list(self._parked_until) if self.is_parked(project))

    def stored(self, project: str) -> None:
        """One record of the project was stored."""
        self._parked_in_a_row.clear()
        window = self._windows.get(project)
        if window is not None:
            window.push(dead=False)
            if not window.dead:
                del self._windows[project]

    def dead_lettered(self, project: str) -> bool:
        """One record of the project became a dead letter. True where that parks the project, which is to be said once.

        Raises DeadLetterLimitError.
        """
        window = self._windows.setdefault(project, _Window())
        window.push(dead=True)
        # A share is judged over a full window only: the first record of a quiet day may be a bad one.
        too_dense = window.is_full and window.dead > self._max_dead
        return (too_dense or window.in_a_row >= self._max_in_a_row) and self.park(project)

    def park(self, project: str) -> bool:
        """Hold the project's records back from now on. False where they are already. Raises DeadLetterLimitError."""
        if self.is_parked(project):
            return False
        self._parked_until[project] = self._clock_s() + self._park_s
        self._windows.pop(project, None)
        self._parked_in_a_row.add(project)
        if len(self._parked_in_a_row) >= self._max_projects:
            raise DeadLetterLimitError(projects=len(self._parked_in_a_row))
        return True


class _Window:
    """The last records of one project: which of them were dead letters, and how many of the newest in a row."""

    def __init__(self, *, in_a_row: int = 0) -> None:
        self._records: deque[bool] = deque(maxlen=WINDOW_RECORDS)
        self.dead = 0
        self.in_a_row = in_a_row

    @property
    def is_full(self) -> bool:
        return len(self._records) == WINDOW_RECORDS

    def push(self, *, dead: bool) -> None:
        if self.is_full:
            self.dead -= self._records[0]
        self._records.append(dead)
        self.dead += dead
        self.in_a_row = self.in_a_row + 1 if dead else 0
