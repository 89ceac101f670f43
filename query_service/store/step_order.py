"""The order of steps that began in one moment: each behind the one that it stands under, as the statement `list_steps` has it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Final, Protocol, TypeVar

LEVELS_MAX: Final = 32
"""Steps followed upwards: ids said wrongly may form a ring."""


class PlacedStep(Protocol):
    """A step, as far as its place in the order is concerned."""

    @property
    def step_id(self) -> str:
        """Its id."""

    @property
    def parent_step_id(self) -> str | None:
        """The step that it stands under."""

    @property
    def started_at(self) -> datetime:
        """When it began."""


_Step = TypeVar("_Step", bound=PlacedStep)


def parents_first(steps: Sequence[_Step]) -> list[_Step]:
    """Steps by start, of which those of one moment are put by depth; else they stay as they are."""
    return [step for _, step in with_depths(steps)]


def with_depths(steps: Sequence[_Step]) -> Iterator[tuple[int, _Step]]:
    """The same, each with how many steps of its own moment it stands under."""
    for _, group in groupby(steps, key=attrgetter("started_at")):
        together = list(group)
        parents = {step.step_id: step.parent_step_id for step in together}
        found = [(_depth(step.step_id, parents), step) for step in together] if len(together) > 1 else [(0, together[0])]
        yield from sorted(found, key=lambda one: one[0])


def _depth(step_id: str, parents: Mapping[str, str | None]) -> int:
    depth, above = 0, parents[step_id]
    while above is not None and above in parents and depth < LEVELS_MAX:
        depth, above = depth + 1, parents[above]
    return depth
