"""The rows that events become: tuples, since COPY takes tuples. Times are integer microseconds since 1970, UTC.

Where two rows have one key and different content, the *least* row wins: a rule that needs no clock and no order. Of steps the
longest wins first: a span that is told while it lasts, and again when it ends, is what it was in the end.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

RANK_RECORDED = 0
RANK_STEP = 1
RANK_RUN = 2
RANK_DERIVED = 3


class StepRow(NamedTuple):
    """One step. Key: the first four fields."""

    project: str
    run_id: str
    step_id: str
    started_at: int
    duration_us: int
    seq: int
    http_status: int | None
    latency_bucket: int
    attempt: int
    errno: int | None
    kind: str
    name: str
    status: str
    agent: str
    agent_version: str
    parent_step_id: str | None
    cause_step_id: str | None
    error_class: str | None
    error_code: str | None
    retry_after_s: int | None
    metadata: str | None
    # Since contract 1.1. `model` and tokens are copied from metadata, so that statistics need not read it.
    work_digest: str | None = None
    returned_code: str | None = None
    returned_http_status: int | None = None
    returned_exit_status: int | None = None
    returned_error_class: str | None = None
    own_agent: str | None = None
    own_agent_version: str | None = None
    own_end_reason: str | None = None
    session_digest: str | None = None
    redacted: int | None = None
    cost_nano: int | None = None
    cost_currency: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Its key in the store."""
        return self[:4]


class FailureRow(NamedTuple):
    """One failure. Key: the first three fields.

    `failure_rank` 0: recorded, 1: found in a step, 2: found in a run's end, 3: derived from all steps of a run.
    """

    project: str
    run_id: str
    failure_id: str
    failure_rank: int
    occurred_at: int
    failure_type: str
    failure_code: str
    rule_id: str
    taxonomy_version: int
    step_id: str | None
    attempt: int | None
    error_class: str | None
    error_code: str | None
    http_status: int | None
    errno: int | None
    retry_after_s: int | None
    message_chars: int | None
    message_fingerprint: str | None
    seq: int
    agent: str
    agent_version: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Its key in the store."""
        return self[:3]


class LossRow(NamedTuple):
    """A producer's running total of events given up for one reason. Key: the first four fields; the greatest total wins."""

    project: str
    run_id: str
    producer: str
    reason: str
    total: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Its key in the store."""
        return self[:4]


Row = TypeVar("Row", StepRow, FailureRow)


def prefer(one: Row, other: Row) -> Row:
    """The winner of two rows of one key: the least, absent fields before present ones. Commutative and associative."""
    return min(one, other, key=order)


def order(row: StepRow | FailureRow) -> tuple[tuple[bool, Any], ...]:
    """A total order of rows in which None compares with everything."""
    fields = row._replace(duration_us=-row.duration_us) if isinstance(row, StepRow) else row
    return tuple((field is not None, field) for field in fields)


RUN_OF: Final = itemgetter(slice(2))
"""The key of a row's run. Like the next two it is a slice taken in C: they are called for every row."""
STEP_KEY: Final = itemgetter(slice(4))
"""`StepRow.key`."""
FAILURE_KEY: Final = itemgetter(slice(3))
"""`FailureRow.key`."""


def settle(rows: Sequence[Row], key_of: Callable[[Row], Any]) -> list[Row]:
    """The winners, sorted by key. `key_of` gives `row.key` of such rows."""
    winners = dict(zip(map(key_of, rows), rows, strict=True))
    if len(winners) < len(rows):
        winners = _winners(rows)
    return sorted(winners.values())  # keys come first and are all different, so no further field is compared


def _winners(rows: Sequence[Row]) -> dict[Any, Row]:
    winners: dict[Any, Row] = {}
    for row in rows:
        key = row.key
        seen = winners.get(key)
        if seen is None:
            winners[key] = row
        elif seen != row:
            winners[key] = prefer(seen, row)
    return winners
