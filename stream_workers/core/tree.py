"""The steps of one run as a tree: who stands above whom, and what was done again with success. Nothing is judged here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import StepStatus
from stream_workers.core.rows import StepRow

STEPS_MAX: Final = 1_000
"""Steps of a run that are looked at, its first ones. Reading so many takes some 3 ms, which each late event may cost anew. A run
with more is truncated."""
_HEIGHT_MAX: Final = 32
"""Steps followed upwards. Real runs nest less deep; ids said wrongly may even form a ring."""


class Place(NamedTuple):
    """A step, as far as its place in the run is concerned."""

    step_id: str
    started_at: int
    seq: int
    kind: str
    name: str
    status: str
    parent_step_id: str | None
    agent: str
    agent_version: str

    @property
    def moment(self) -> tuple[int, int, str]:
        """Where it stands in the order of steps."""
        return self.started_at, self.seq, self.step_id


class Shape(NamedTuple):
    """Steps of one kind and name under one parent: tries of one thing."""

    parent_step_id: str | None
    kind: str
    name: str


def place_of(row: StepRow) -> Place:
    """The place of a stored step."""
    return Place(
        row.step_id,
        row.started_at,
        row.seq,
        row.kind,
        row.name,
        row.status,
        row.parent_step_id,
        row.agent,
        row.agent_version,
    )


def shape(place: Place) -> Shape:
    """What it is a try of."""
    return Shape(place.parent_step_id, place.kind, place.name)


def looked_at(places: Iterable[Place]) -> Sequence[Place]:
    """The first `STEPS_MAX` by (started_at, step_id), the store's key, in the order of steps."""
    first = sorted(places, key=lambda place: (place.started_at, place.step_id))[:STEPS_MAX]
    return sorted(first, key=lambda place: place.moment)


class Tree:
    """Steps by id and by shape. `unsuccessful` are ids of steps that ended well and count as no success all the same."""

    def __init__(self, places: Sequence[Place], *, unsuccessful: frozenset[str]) -> None:
        self._by_id: dict[str, Place] = {}
        self._successes: dict[Shape, Place] = {}
        for place in places:
            self._by_id.setdefault(place.step_id, place)
            if place.status == StepStatus.OK and place.step_id not in unsuccessful:
                self._successes[shape(place)] = place  # the last one stays, since places come in order

    def find(self, step_id: str | None) -> Place | None:
        """The step of this id, if it is there."""
        return None if step_id is None else self._by_id.get(step_id)

    def upwards(self, place: Place) -> Iterator[Place]:
        """The step, its parent, and so on, as far as they are there."""
        above: Place | None = place
        for _ in range(_HEIGHT_MAX):
            if above is None:
                return
            yield above
            above = self.find(above.parent_step_id)

    def carriers(self, place: Place) -> Iterator[Place]:
        """The step and those above it that its error can have passed through: errors without a break."""
        for above in self.upwards(place):
            if above is not place and above.status != StepStatus.ERROR:
                return
            yield above
            if above.status != StepStatus.ERROR:
                return

    def tried_again(self, place: Place) -> bool:
        """Whether a later try of the same thing succeeded."""
        success = self._successes.get(shape(place))
        return success is not None and success.moment > place.moment


def shapes_counted(places: Iterable[Place]) -> Mapping[Shape, list[Place]]:
    """The tries of each thing, in their order."""
    found: dict[Shape, list[Place]] = {}
    for place in places:
        found.setdefault(shape(place), []).append(place)
    return found
