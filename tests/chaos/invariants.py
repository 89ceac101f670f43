"""The checker: what the clients know, what the topic holds and what the store holds, held against each other.

Each function is one witness against another and answers findings by invariant. None of them repairs, waits or forgives. What
rows say is checked by `rows.py`, where every event is by `balance.py`, what the query API shows by `shown.py`.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from servicekit import codec, sql
from stream_workers.core.fold import fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.read_tables import differences, read_tables
from tests.chaos.balance import Places
from tests.chaos.evidence import Logged, ends
from tests.chaos.finding import Finding
from tests.chaos.history import Fate, History, identity
from tests.chaos.rows import name_of
from tests.support.pipeline import PARTITIONS, Pipeline, readable

_RECOUNT = sql.load(Path(__file__).with_name("recount.sql"))


def check_answers(history: History) -> Iterator[Finding]:
    """The gateway said nothing that contradicts itself."""
    for complaint in history.findings:
        yield Finding("answers", complaint)


def places_of(topic: Sequence[Logged]) -> Places:
    """Where in the topic every event lies."""
    found: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for logged in topic:
        try:
            record, _ = codec.read_record(logged.value)
        except ValueError:
            continue
        members = json.loads(logged.value)
        for event in members["events"]:
            found[identity(record.project, members["producer"], event)].append((logged.partition, logged.offset))
    return found


def check_topic(history: History, places: Places) -> Iterator[Finding]:
    """Every accepted event is in the topic; nothing is that was not offered, or that was refused."""
    for key, (place, *_) in places.items():
        offer = history.offers.get(key)
        if offer is None or offer.fate == Fate.REFUSED:
            yield Finding("spurious", f"partition {place[0]} offset {place[1]}")
    for key, offer in history.offers.items():
        if offer.fate == Fate.ACCEPTED and key not in places:
            yield Finding("lost", f"not in the topic: {name_of(offer)}")


def check_store(pipeline: Pipeline, topic: Sequence[Logged], *, database: str) -> Iterator[Finding]:
    """The store is what the topic amounts to, and agrees with itself."""
    found = pipeline.with_store(read_tables, database=database)
    wanted = fold(readable(logged.value for logged in topic), canonical_json)
    yield from (Finding("fold", line) for line in differences(wanted, found))
    for name, invariant in (("run_counters", "duplicate"), ("step_rollups", "rollups"), ("run_rollups", "rollups")):
        for row in pipeline.sql(*_RECOUNT[name].bind(), database=database):
            yield Finding(invariant, f"{name}: {' '.join(map(str, row))}")


def check_ledger(pipeline: Pipeline, topic: Sequence[Logged], *, database: str) -> Iterator[Finding]:
    """Every offset is covered, by one range from 0 to the end, and none is lost; unreadable records are dead letters."""
    covered = {row["partition"]: row for row in pipeline.sql(*_RECOUNT["ledger"].bind(topic=pipeline.topic), database=database)}
    for number, end in ends(pipeline).items():
        row = covered.get(number)
        said = row["covered"] if row else "{}"
        if said != (f"{{[0,{end})}}" if end else "{}") or (row and row["lost"] != "{}"):
            yield Finding("ledger", f"partition {number}: {said} of {end}, lost {row['lost'] if row else '{}'}")
    if set(covered) - set(range(PARTITIONS)):
        yield Finding("ledger", "a partition that the topic does not have")
    letters = pipeline.sql(*_RECOUNT["dead_letters"].bind(topic=pipeline.topic), database=database)
    dead_letters = {(row["partition"], row["record_offset"]) for row in letters if row["reason"]}
    unreadable = {(one.partition, one.offset) for one in topic if not readable([one.value])}
    for partition, offset in dead_letters ^ unreadable:
        yield Finding("dead_letters", f"partition {partition} offset {offset}")
