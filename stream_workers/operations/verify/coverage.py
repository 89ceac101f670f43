"""The ledger compared with the log, partition by partition. Pure."""

from dataclasses import dataclass
from typing import Any

from stream_workers.kafka.offset_ranges import both, end_of, minus, union
from stream_workers.kafka.topic_log import LogRange


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The ledger's row of a partition."""

    covered: list[tuple[int, int]]
    lost: list[tuple[int, int]]

    @classmethod
    def of(cls, covered: Any, lost: Any) -> "LedgerRow":  # noqa: ANN401 - asyncpg's ranges
        """From two multiranges as asyncpg gives them."""
        return cls([(one.lower, one.upper) for one in covered], [(one.lower, one.upper) for one in lost])


@dataclass(frozen=True, slots=True)
class PartitionCoverage:
    """One partition. All but `lag` are ranges of offsets; those under `wrong` are differences, the others are named."""

    partition: int
    begin: int
    end: int
    readable: list[tuple[int, int]]
    """Covered, and still in the log: these records are folded."""
    lag: int
    """Records that the workers have not read yet."""
    deleted: list[tuple[int, int]]
    """Covered, and deleted by the topic's retention since: the log has nothing to compare with."""
    lost: list[tuple[int, int]]
    """Lost, as the ledger says: not stored, and no longer in the log."""
    lost_in_log: list[tuple[int, int]]
    """Those of them that are within the log's reach. They may hold no record (a transaction's markers); one that is there is a
    difference."""
    holes: list[tuple[int, int]]
    """Wrong: neither covered nor lost, although later offsets are."""
    overlaps: list[tuple[int, int]]
    """Wrong: covered and lost at once."""
    past_the_end: list[tuple[int, int]]
    """Wrong: covered, but never in this log: it was cut."""

    @property
    def wrong(self) -> bool:
        """Whether the ledger contradicts itself or the log."""
        return bool(self.holes or self.overlaps or self.past_the_end)


def judge(partition: int, row: LedgerRow, reach: LogRange) -> PartitionCoverage:
    """The ledger's row of a partition beside what its log holds. `reach.end` was asked for after the row was read."""
    known = union(row.covered, row.lost)
    log = [(reach.begin, reach.end)] if reach.begin < reach.end else []
    return PartitionCoverage(
        partition=partition,
        begin=reach.begin,
        end=reach.end,
        readable=both(row.covered, log),
        lag=max(0, reach.end - max(end_of(known), reach.begin)),
        deleted=both(row.covered, [(0, reach.begin)]),
        lost=row.lost,
        lost_in_log=both(row.lost, log),
        holes=minus([(0, end_of(known))], known),
        overlaps=both(row.covered, row.lost),
        past_the_end=minus(row.covered, [(0, reach.end)]),
    )
