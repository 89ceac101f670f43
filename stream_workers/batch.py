"""What one transaction writes: rows, the dead letters among their records, and the offsets that both cover."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from agenttracer.wire.envelope import Record
from stream_workers.core.assemble import Rows, assemble
from stream_workers.core.run import Json


class Topic(NamedTuple):
    """A topic and its id: a topic that was deleted and made anew has another id, and offsets of its own."""

    name: str
    id: UUID


class DeadLetter(NamedTuple):
    """A record that cannot be stored, without its content. `field` is a path of the contract or empty."""

    partition: int
    offset: int
    reason: str
    field: str
    size_bytes: int
    keyed_hash: bytes | None


class Received(NamedTuple):
    """One record of the topic, read or not: exactly one of `record` and `letter` is there."""

    partition: int
    offset: int
    size_bytes: int
    keyed_hash: bytes | None
    record: Record | None
    letter: DeadLetter | None


class Coverage(NamedTuple):
    """Offsets of one partition from `start` up to, not including, `end`."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows and dead letters, and the offsets that they are all of."""

    rows: Rows
    letters: Sequence[DeadLetter]
    coverage: Sequence[Coverage]


def make_batch(received: Sequence[Received], json: Json) -> Batch:
    """The batch of these records. Records of a partition must be in order and without gaps that the log does not have."""
    return batch_of(received, assemble((item.record for item in received if item.record is not None), json))


def batch_of(received: Sequence[Received], rows: Rows) -> Batch:
    """The batch of these records, whose rows were assembled before."""
    letters = [item.letter for item in received if item.letter is not None]
    return Batch(rows=rows, letters=letters, coverage=_coverage(received))


def _coverage(received: Iterable[Received]) -> list[Coverage]:
    spans: dict[int, Coverage] = {}
    for item in received:
        seen = spans.get(item.partition)
        start = item.offset if seen is None else min(seen.start, item.offset)
        end = item.offset + 1 if seen is None else max(seen.end, item.offset + 1)
        spans[item.partition] = Coverage(item.partition, start, end)
    return [spans[partition] for partition in sorted(spans)]
