"""When a run must be diagnosed anew.

Reading a run's steps for each event that arrives would cost the square of its length, so a diagnosis says what it rests on, and
only an event that touches this has it made again. Skipping never changes a result.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from stream_workers.core.loop import REPEATS_MAX
from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.tree import STEPS_MAX, Place, Shape

_WARM: Final = REPEATS_MAX // 2
"""From so many tries on, each further one of the same thing is looked at; below, so many more steps cannot make a loop."""


class Watch(NamedTuple):
    """What a diagnosis rests on. Not compared with the fold's: it depends on when the run was last diagnosed."""

    tokens: tuple[int, ...] = ()
    """Of steps and of things tried, as `token_of` has them. Equal tokens by accident cost a diagnosis too many."""
    steps: int | None = REPEATS_MAX + 1
    """From so many stored steps on it no longer holds. None: as many as are looked at are there, tokens count no more."""
    until: int | None = None
    """A step that began until then can change it, whatever it is."""

    def broken_by(self, steps: Sequence[StepRow], *, stored: int) -> bool:
        """Whether these further steps of the run, beside `stored` ones, can change the diagnosis."""
        if self.until is not None and any(row.started_at <= self.until for row in steps):
            return True
        if self.steps is None:
            return False
        return stored + len(steps) >= self.steps or (bool(self.tokens) and not _touched(steps).isdisjoint(self.tokens))


def watch_of(tokens: Iterable[int], places: Sequence[Place], loops: Iterable[FailureRow]) -> Watch:
    """The watch over a diagnosis that looked at these places and found these loops."""
    if len(places) >= STEPS_MAX:
        return Watch((), None, max(place.started_at for place in places))
    until = max((loop.occurred_at for loop in loops), default=None)  # an earlier try would move the loop to another step
    return Watch(tuple(sorted(set(tokens))), max(REPEATS_MAX + 1, min(len(places) + _WARM, STEPS_MAX)), until)


def warm(tries: int) -> bool:
    """Whether a thing tried so often may soon be a loop. One that is a loop already stays one."""
    return _WARM <= tries <= REPEATS_MAX


def token_of(what: str | Shape) -> int:
    """Of a step's id or of a thing tried: a number that is the same in every process."""
    return crc32((what if isinstance(what, str) else " ".join((what.parent_step_id or "", what.kind, what.name))).encode())


def _touched(steps: Sequence[StepRow]) -> set[int]:
    return {token_of(row.step_id) for row in steps} | {token_of(Shape(row.parent_step_id, row.kind, row.name)) for row in steps}
