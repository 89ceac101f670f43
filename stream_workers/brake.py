"""When to stop burying: a limit as policy and pure state. Many dead letters at once mean that the fault is not the records'."""

from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import Final

from stream_workers.errors import PoisonBrakeError

WINDOW_RECORDS: Final = 1_000


class PoisonBrake:
    """Stops when more than `max_share` of the last 1,000 records died, or `max_in_a_row` one after the other."""

    def __init__(self, *, max_share: float, max_in_a_row: int) -> None:
        self._max_dead = max_share * WINDOW_RECORDS
        self._max_in_a_row = max_in_a_row
        self._window: deque[bool] = deque(maxlen=WINDOW_RECORDS)
        self._dead = 0
        self._in_a_row = 0

    def stored(self) -> None:
        """One record was stored."""
        self._in_a_row = 0
        self._push(dead=False)

    def died(self) -> None:
        """One record went to the dead letters. Raises PoisonBrakeError when that is too many."""
        self._push(dead=True)
        self._in_a_row += 1
        # A share is judged over a full window only: the first record of a quiet day may be a bad one.
        too_dense = len(self._window) == WINDOW_RECORDS and self._dead > self._max_dead
        if too_dense or self._in_a_row >= self._max_in_a_row:
            raise PoisonBrakeError(dead=self._dead, of=len(self._window))

    def foresee(self, dead: Iterable[bool]) -> None:
        """Judge records in order before they are written, dead or not. Raises as `died` would, and changes nothing."""
        trial = copy(self)
        trial._window = self._window.copy()  # noqa: SLF001 - its own class
        for one in dead:
            if one:
                trial.died()
            else:
                trial.stored()

    def _push(self, *, dead: bool) -> None:
        if len(self._window) == WINDOW_RECORDS:
            self._dead -= self._window[0]
        self._window.append(dead)
        self._dead += dead
