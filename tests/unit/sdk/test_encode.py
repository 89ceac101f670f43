"""Batches: bounded, ordered, and equal to what the contract's own writer makes."""

import json

from agenttracer._events.encode import BODY_MAX_BYTES, batch_body, encode_event, split_into_bodies
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
    body = batch_body([encode_event(event) for event in events], producer=to_json(PRODUCER))
    assert body == to_json(Batch(v=VERSION, producer=PRODUCER, events=events))


def test_lots_are_bounded_in_events_and_bytes_and_keep_the_order() -> None:
    """No body exceeds either bound, and together they are everything once."""
    encoded = [encode_event(start(seq, entries=30)) for seq in range(600)]
    bodies = list(split_into_bodies(encoded, max_events=150))
    assert [event for body in bodies for event in body] == encoded
    assert all(len(body) <= 150 and len(batch_body(body, producer=to_json(PRODUCER))) <= BODY_MAX_BYTES for body in bodies)
    assert any(len(body) < 150 for body in bodies[:-1])


def test_only_sequenced_events_are_accounted_for() -> None:
    """Heartbeats and drop reports repeat themselves: losing one loses nothing."""
    report = EventsDropped(run_id=RUN, reason=DropReason.EXIT, total=1)
    assert encode_event(start()).counted
    assert not encode_event(RunHeartbeat(run_id=RUN, at=10**15)).counted
    assert not encode_event(report).counted
    assert encode_event(report).report is report
    assert json.loads(encode_event(report).payload)["type"] == "events_dropped"
