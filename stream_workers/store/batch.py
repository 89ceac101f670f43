"""The content of one transaction: rows, the dead letters among their records, and the offsets that both cover."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from agenttracer.wire.envelope import Record
from stream_workers.core.assemble import Rows, assemble
from stream_workers.core.run import Json


class Topic(NamedTuple):
    """A topic and its id: a topic that was deleted and made again has another id, and its own offsets."""

    name: str
    id: UUID


PARKED: Final = "parked"
"""The reason of a dead letter whose record may be sound: its project is parked, and a retry stores it."""


class DeadLetter(NamedTuple):
    """A record that cannot be stored, without its content. `field` is a path of the contract or empty.

    `project` is that of the record, or of its key where the record cannot be read; empty where that cannot be read either.
    """

    partition: int
    offset: int
    reason: str
    field: str
    size_bytes: int
    keyed_hash: bytes | None
    project: str = ""


class Received(NamedTuple):
    """One record of the topic, decoded or not: exactly one of `record` and `letter` is set."""

    partition: int
    offset: int
    size_bytes: int
    keyed_hash: bytes | None
    record: Record | None
    letter: DeadLetter | None

    @property
    def project(self) -> str:
        """The project that it counts for."""
        if self.record is not None:
            return self.record.project
        return self.letter.project if self.letter is not None else ""


class Coverage(NamedTuple):
    """Offsets of one partition from `start` up to, not including, `end`. Where both are equal, nothing is covered yet."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """Rows, dead letters, and the offsets of all their records."""

    rows: Rows
    letters: Sequence[DeadLetter]
    coverage: Sequence[Coverage]


def undecided(letters: Iterable[DeadLetter], frontiers: Mapping[int, int]) -> list[DeadLetter]:
    """The letters to write where the ledger covers so much of each partition already.

    A record below that was stored, or has a letter: a redelivery while its project is parked adds none.
    """
    return [one for one in letters if one.reason != PARKED or one.offset >= frontiers[one.partition]]


def make_batch(received: Sequence[Received], json: Json) -> WriteBatch:
    """The batch of these records. Records of a partition must be in order and without gaps that the log does not have."""
    return batch_of(received, assemble((item.record for item in received if item.record is not None), json))


def batch_of(received: Sequence[Received], rows: Rows, coverage: Sequence[Coverage] | None = None) -> WriteBatch:
    """The batch of these records, whose rows were assembled before. It covers what they span unless `coverage` says otherwise."""
    letters = [item.letter for item in received if item.letter is not None]
    return WriteBatch(rows=rows, letters=letters, coverage=_coverage(received) if coverage is None else coverage)


def _coverage(received: Iterable[Received]) -> list[Coverage]:
    spans: dict[int, Coverage] = {}
    for item in received:
        seen = spans.get(item.partition)
        start = item.offset if seen is None else min(seen.start, item.offset)
        end = item.offset + 1 if seen is None else max(seen.end, item.offset + 1)
        spans[item.partition] = Coverage(item.partition, start, end)
    return [spans[partition] for partition in sorted(spans)]
