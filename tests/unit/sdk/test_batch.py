"""Batches: bounded, ordered, and equal to what the contract's own writer makes."""

import json

from agenttracer._batch import BODY_MAX_BYTES, body_of, packed, parcel_of
from agenttracer.wire.envelope import VERSION, Batch, Producer
from agenttracer.wire.events import EventsDropped, RunHeartbeat, RunStarted
from agenttracer.wire.vocabulary import DropReason
from agenttracer.wire.writer import to_json

RUN = "018f0000-0000-7000-8000-000000000000"
PRODUCER = Producer(id="p", agent="agent", agent_version="1", sdk="python/0.1.0")


def start(seq: int = 0, entries: int = 0) -> RunStarted:
    metadata = {f"key{number}{'k' * 50}": "v" * 64 for number in range(entries)}
    return RunStarted(run_id=RUN, seq=seq, started_at=10**15, metadata=metadata)


def test_a_body_is_the_contracts_batch() -> None:
    """Putting encoded events together gives the bytes that the writer gives for the whole."""
    events = [start(), start(1), RunHeartbeat(run_id=RUN, at=10**15)]
    body = body_of([parcel_of(event) for event in events], producer=to_json(PRODUCER))
    assert body == to_json(Batch(v=VERSION, producer=PRODUCER, events=events))


def test_lots_are_bounded_in_events_and_bytes_and_keep_the_order() -> None:
    """No lot exceeds either bound, and together they are everything once."""
    parcels = [parcel_of(start(seq, entries=30)) for seq in range(600)]
    lots = list(packed(parcels, max_events=150))
    assert [parcel for lot in lots for parcel in lot] == parcels
    assert all(len(lot) <= 150 and len(body_of(lot, producer=to_json(PRODUCER))) <= BODY_MAX_BYTES for lot in lots)
    assert any(len(lot) < 150 for lot in lots[:-1])


def test_only_sequenced_events_are_accounted_for() -> None:
    """Heartbeats and drop reports repeat themselves: losing one loses nothing."""
    report = EventsDropped(run_id=RUN, reason=DropReason.EXIT, total=1)
    assert parcel_of(start()).counted
    assert not parcel_of(RunHeartbeat(run_id=RUN, at=10**15)).counted
    assert not parcel_of(report).counted
    assert parcel_of(report).report is report
    assert json.loads(parcel_of(report).payload)["type"] == "events_dropped"
