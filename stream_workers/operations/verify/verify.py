"""The proof, in order: ledger against log, records into slices, each slice against the store, rollups against rows.

The ledger and all rows are read in one snapshot, so later writes of the workers are not seen, and lag is no difference. The topic
is read once.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from agenttracer.wire.envelope import Record
from agenttracer.wire.errors import ContractError
from ddl.migrate import SCHEMA
from servicekit import codec, sql
from servicekit.postgres import open_connection
from stream_workers.core.deletions import NOTHING_DELETED, Deletions
from stream_workers.kafka.offset_ranges import end_of, union, within
from stream_workers.kafka.topic_log import LogRange, TopicLog
from stream_workers.operations.verify.compare import compare
from stream_workers.operations.verify.coverage import LedgerRow, PartitionCoverage, judge
from stream_workers.operations.verify.report import Report
from stream_workers.operations.verify.scope import RunSelection, run_hash
from stream_workers.operations.verify.slices import Slice, Slices
from stream_workers.operations.verify.statistics import wrong_statistics
from stream_workers.store.batch import Topic

QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
Progress = Callable[[str, int, int], None]
"""Called with the name of the work, how much of it is done, and the total."""
SKEW_US: Final = 3_600_000_000
"""Clocks of agents and gateways differ; an hour more than the log's beginning is surely within its reach."""
_FETCH: Final = 10_000
_APPLICATION: Final = "agenttracer-verify"
_STORED: Final = -1
"""In place of a partition: a run of the store, its first event in place of the offset."""
_NEVER_US: Final = 1 << 62


async def verify(
    dsn: str, log: TopicLog, topic: Topic, *, scope: RunSelection, memory_bytes: int, progress: Progress, schema: str = SCHEMA
) -> Report:
    """Compare the store with the topic up to where both are now. Raises asyncpg's errors, KafkaError and LogOvertakenError."""
    async with (
        open_connection(dsn, application_name=_APPLICATION, search_path=schema) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # Before the snapshot: else retention could drop a day of which it has the runs and no longer the steps.
        await connection.execute("LOCK TABLE steps IN ACCESS SHARE MODE")
        parts = _Verification(connection, log, topic, scope=scope, memory_bytes=memory_bytes, progress=progress)
        return await parts.run()


class _Verification:
    def __init__(
        self,
        connection: asyncpg.Connection,
        log: TopicLog,
        topic: Topic,
        *,
        scope: RunSelection,
        memory_bytes: int,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._log = log
        self._topic = topic
        self._scope = scope
        self._memory_bytes = memory_bytes
        self._progress = progress
        self._letters: dict[tuple[int, int], str] = {}
        self._deletions = NOTHING_DELETED
        self._horizon_us = 0

    async def run(self) -> Report:
        coverage = await self._coverage()
        report = Report(self._topic.name, str(self._topic.id), coverage)
        report.other_topics = await self._connection.fetchval(*QUERIES["other_topics"].bind(topic_id=self._topic.id))
        letters = await self._connection.fetch(*QUERIES["dead_letters"].bind(topic_id=self._topic.id))
        self._letters = {(row["partition"], row["record_offset"]): row["reason"] for row in letters}
        said = await self._connection.fetch(*QUERIES["deletions"].bind())
        self._deletions = Deletions.of((row["project"], row["run_id"]) for row in said)
        slices = Slices(memory_bytes=self._memory_bytes)
        await self._read(slices, report)
        await self._add_stored(slices)
        total = len(slices)
        for done, part in enumerate(slices.take(), start=1):
            await self._compare(part, report)
            self._progress("comparing", done, total)
        if self._scope.run_id is None:
            await self._sums(report)
        return report

    async def _coverage(self) -> list[PartitionCoverage]:
        rows = {
            row["partition"]: LedgerRow.of(row["covered"], row["lost"])
            for row in await self._connection.fetch(*QUERIES["ledger"].bind(topic_id=self._topic.id))
        }
        reach: Mapping[int, LogRange] = await self._log.reach()  # after the ledger: what it covers cannot be past this
        nothing = LedgerRow([], [])
        return [judge(one, rows.get(one, nothing), reach.get(one, LogRange(0, 0))) for one in sorted(rows.keys() | reach.keys())]

    async def _read(self, slices: Slices, report: Report) -> None:
        parts = {one.partition: one for one in report.coverage}
        silent = {one.partition for one in report.coverage if one.begin or report.other_topics}
        spans = {number: union(one.readable, one.lost_in_log) for number, one in parts.items()}
        wanted = {number: (span[0][0], end_of(span)) for number, span in spans.items() if span}
        total, done = sum(end - start for start, end in wanted.values()), 0
        async for piece in self._log.read(wanted):
            part = parts[piece.partition]
            for raw in piece.records:
                if within(raw.offset, part.readable):
                    head = self._keep(slices, piece.partition, raw, report)
                    if head is not None and piece.partition in silent:
                        self._horizon_us = max(self._horizon_us, head.received_at + SKEW_US)
                        silent.remove(piece.partition)
                elif within(raw.offset, part.lost_in_log):
                    report.differ([f"ingest_ledger {piece.partition, raw.offset}: lost, and still in the log"])
            done += piece.end - piece.start
            self._progress("reading the topic", done, total)
        if silent:
            self._horizon_us = _NEVER_US  # cut, and no record tells how far back their runs went

    def _keep(self, slices: Slices, partition: int, raw: Any, report: Report) -> "RecordHead | None":  # noqa: ANN401 - aiokafka's record
        value, place = raw.value or b"", (partition, raw.offset)
        head = head_of(value)
        report.records += 1
        if place in self._letters:
            report.readable_again += not self._letters[place].startswith("sqlstate_") and _read(value) is not None
        elif head is None:
            report.differ([f"dead_letters {place}: missing"])
        elif self._scope.has(head.run_id, hashed := run_hash(head.project, head.run_id)):
            slices.add(hashed, partition, raw.offset, value)
        return head

    async def _add_stored(self, slices: Slices) -> None:
        async for row in self._connection.cursor(*QUERIES["runs"].bind(), prefetch=_FETCH):
            hashed = run_hash(row["project"], row["run_id"])
            if self._scope.has(row["run_id"], hashed):
                slices.add(hashed, _STORED, row["first_event_us"], f"{row['project']}:{row['run_id']}".encode())

    async def _compare(self, part: Slice, report: Report) -> None:
        records: list[Record] = []
        stored: dict[tuple[str, str], int] = {}
        for partition, offset, value in part.records():
            if partition == _STORED:
                project, _, run_id = value.decode().rpartition(":")
                stored[project, run_id] = offset
            elif (record := _read(value)) is not None:
                records.append(record)
            else:
                report.differ([f"dead_letters {partition, offset}: missing"])
        found = await compare(self._connection, records, stored, self._deletions, horizon_us=self._horizon_us)
        report.runs_compared += found.runs
        report.rows_compared += found.rows
        report.runs_out_of_reach += found.out_of_reach
        report.differ(found.differences)

    async def _sums(self, report: Report) -> None:
        self._progress("adding up statistics", 0, 1)
        report.differ([line async for line in wrong_statistics(self._connection)])
        self._progress("adding up statistics", 1, 1)
        for row in await self._connection.fetch(*QUERIES["orphans"].bind()):
            report.differ([f"{row['table_name']}: {row['orphans']} rows without their run"] if row["orphans"] else [])


class _Event(msgspec.Struct):
    run_id: str


class _Record(msgspec.Struct):
    project: str
    received_at: int
    events: list[_Event]


class RecordHead(NamedTuple):
    """The run of a record, and when the gateway received it (us)."""

    project: str
    run_id: str
    received_at: int


_RECORD: Final = msgspec.json.Decoder(_Record)


def head_of(value: bytes) -> RecordHead | None:
    """The head of a record, decoded without the rest; None for bytes that are no record."""
    try:
        record = _RECORD.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return RecordHead(record.project, record.events[0].run_id, record.received_at) if record.events else None


def _read(value: bytes) -> Record | None:
    try:
        return codec.read_record(value)[0]
    except ContractError:
        return None
