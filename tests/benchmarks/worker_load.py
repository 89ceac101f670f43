"""The traffic of the worker's benchmark: runs of steps as events, as the gateway's records, as requests, as prepared batches.

Nothing here measures. Number and base make a run's id, so that no two loads meet.
"""

import gzip
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

from agenttracer._events.encode import batch_body, encode_event
from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.topics import record_key
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from agenttracer.wire.writer import to_json
from servicekit import codec
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, WriteBatch, make_batch

STEPS: Final = 10
EVENTS_A_RUN: Final = STEPS + 2
BATCH_ROWS: Final = 16_000
RUN_EVERY_US: Final = 450  # 2,200 runs/s: what half of one worker's rate would be
_NAMES: Final = ("choose_tools", "search_kb", "lookup_order", "issue_refund", "write_answer")
_PRODUCER: Final = Producer(id="bench", agent="support-agent", agent_version="1.4.0")


def run_id(number: int, began_us: int) -> str:
    """A UUIDv7, as the SDK makes them."""
    return str(uuid.UUID(int=(began_us // 1000 << 80) | (7 << 76) | (2 << 62) | number))


def run_events(number: int, base_us: int, *, steps: int = STEPS) -> list[Event]:
    """A run of so many steps with two metadata entries each."""
    began = base_us + number * RUN_EVERY_US
    of_run = run_id(number, began)
    middle = [
        StepFinished(
            run_id=of_run,
            seq=seq + 1,
            step_id=f"{number * STEPS + seq + 1:016x}",
            kind=tuple(StepKind)[seq % 5],
            name=_NAMES[seq % 5],
            started_at=began + seq * 1_000,
            duration_us=500 + (number * 7919 + seq * 104_729) % 900_000,
            status=StepStatus.OK,
            metadata={"model": "gpt-4o", "input_tokens": 800 + seq},
        )
        for seq in range(steps)
    ]
    ended = began + steps * 1_000
    return [
        RunStarted(run_id=of_run, seq=0, started_at=began),
        *middle,
        RunFinished(run_id=of_run, seq=steps + 1, ended_at=ended, status=RunEnd.SUCCESS, emitted=steps + 2),
    ]


def run_record(number: int, base_us: int) -> Record:
    """A run as the gateway writes it."""
    events = run_events(number, base_us)
    received_at = base_us + number * RUN_EVERY_US + STEPS * 1_000
    return Record(v=VERSION, project="default", producer=_PRODUCER, received_at=received_at, events=events)


def encoded(runs: int, base_us: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of so many runs' records."""
    for number in range(runs):
        record = run_record(number, base_us)
        yield record_key(record.project, record.events[0].run_id), codec.encode_record(record)


def request_body(events: Sequence[Event]) -> bytes:
    """What the SDK would post for these events."""
    return gzip.compress(
        batch_body([encode_event(event) for event in events], producer=to_json(_PRODUCER)), compresslevel=1, mtime=0
    )


def batches(records: Sequence[Record]) -> list[WriteBatch]:
    """What the worker would write, made beforehand."""
    size = BATCH_ROWS // EVENTS_A_RUN
    found = []
    for start in range(0, len(records), size):
        part = records[start : start + size]
        received = [Received(0, start + i, 0, None, record, None) for i, record in enumerate(part)]
        found.append(make_batch(received, canonical_json))
    return found


def decoded(runs: int, base_us: int) -> list[Record]:
    """So many runs as a worker reads them."""
    return [codec.read_record(value)[0] for _, value in encoded(runs, base_us)]
