"""The steps of one run as a tree: their parents and places, and which a later one made good. Nothing is judged here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from agenttracer.rules.recovery import Call, made_good
from agenttracer.wire.vocabulary import StepStatus
from stream_workers.core.rows import StepRow

STEPS_MAX: Final = 1_000
"""Steps of a run that are looked at, its first ones. Reading so many takes some 3 ms, which each late event may cost again. A run
with more is truncated."""
_HEIGHT_MAX: Final = 32
"""Steps followed upwards. Real runs nest less deep; ids said wrongly may even form a ring."""


class StepNode(NamedTuple):
    """A step, as far as its position in the run and its work are concerned."""

    step_id: str
    started_at: int
    seq: int
    kind: str
    name: str
    status: str
    parent_step_id: str | None
    agent: str
    agent_version: str
    duration_us: int
    work_digest: str | None
    returned_code: str | None

    @property
    def moment(self) -> tuple[int, int, str]:
        """Where it stands in the order of steps."""
        return self.started_at, self.seq, self.step_id

    @property
    def ended_at(self) -> int:
        """When it ended."""
        return self.started_at + self.duration_us


class StepSignature(NamedTuple):
    """Steps of one kind and name, wherever they stand."""

    kind: str
    name: str


Place = tuple[StepSignature, ...]
"""Signatures of a step and of those above it, the outermost first: what stays the same when a turn or a node is entered again."""


def node_of(row: StepRow) -> StepNode:
    """The node of a stored step."""
    return StepNode(
        row.step_id,
        row.started_at,
        row.seq,
        row.kind,
        row.name,
        row.status,
        row.parent_step_id,
        row.agent,
        row.agent_version,
        row.duration_us,
        row.work_digest,
        row.returned_code,
    )


def signature(node: StepNode) -> StepSignature:
    """The signature of a step."""
    return StepSignature(node.kind, node.name)


def looked_at(nodes: Iterable[StepNode]) -> Sequence[StepNode]:
    """The first `STEPS_MAX` by (started_at, step_id), the store's key, in the order of steps."""
    first = sorted(nodes, key=lambda node: (node.started_at, node.step_id))[:STEPS_MAX]
    return sorted(first, key=lambda node: node.moment)


def are_all_looked_at(steps: int) -> bool:
    """Whether a run with so many steps has none that `looked_at` leaves out."""
    return steps <= STEPS_MAX


class StepTree:
    """Steps by id and by signature. `unsuccessful` are ids of steps that ended well and still count as no success."""

    def __init__(self, nodes: Sequence[StepNode], *, unsuccessful: frozenset[str]) -> None:
        self._unsuccessful = unsuccessful
        self._by_id: dict[str, StepNode] = {}
        self._alike: dict[StepSignature, list[StepNode]] = {}
        for node in nodes:
            if self._by_id.setdefault(node.step_id, node) is node:
                self._alike.setdefault(signature(node), []).append(node)
        self._made_good: dict[StepSignature, frozenset[str]] = {}

    def find(self, step_id: str | None) -> StepNode | None:
        """The step of this id, if it is there."""
        return None if step_id is None else self._by_id.get(step_id)

    def upwards(self, node: StepNode) -> Iterator[StepNode]:
        """The step, its parent, and so on, as far as they are there."""
        above: StepNode | None = node
        for _ in range(_HEIGHT_MAX):
            if above is None:
                return
            yield above
            above = self.find(above.parent_step_id)

    def place(self, node: StepNode) -> Place:
        """Where the step stands."""
        return tuple(signature(above) for above in self.upwards(node))[::-1]

    def carriers(self, node: StepNode) -> Iterator[StepNode]:
        """The step and those above it that its error can have passed through: errors without a break."""
        for above in self.upwards(node):
            if above is not node and above.status != StepStatus.ERROR:
                return
            yield above
            if above.status != StepStatus.ERROR:
                return

    def alike(self, node: StepNode) -> Sequence[StepNode]:
        """Steps of its signature, itself among them, in their order."""
        return self._alike.get(signature(node), ())

    def made_good(self, node: StepNode) -> bool:
        """Whether a later step at its place made a failed one good."""
        asked = signature(node)
        found = self._made_good.get(asked)
        if found is None:
            found = self._made_good[asked] = frozenset(self._all_made_good(self._alike.get(asked, ())))
        return node.step_id in found

    def failed(self, node: StepNode) -> bool:
        """Whether the step is no success: it ended in an error, returned one, or a failure was found in it."""
        return node.status != StepStatus.OK or node.returned_code is not None or node.step_id in self._unsuccessful

    def _all_made_good(self, alike: Sequence[StepNode]) -> Iterator[str]:
        by_place: dict[Place, list[StepNode]] = {}
        for node in alike:
            by_place.setdefault(self.place(node), []).append(node)
        for nodes in by_place.values():
            calls = [Call(node.started_at, node.ended_at, self.failed(node), node.work_digest) for node in nodes]
            yield from (nodes[index].step_id for index in made_good(calls))
