"""The golden messages: what version 1 looks like, written down once and never edited. A new minor version adds files."""

import json
from pathlib import Path
from typing import Any

import pytest

from agenttracer.wire.envelope import Batch
from agenttracer.wire.events import EVENT_KINDS
from agenttracer.wire.reader import Unfit, read_batch_head, read_event, read_record
from agenttracer.wire.writer import to_json

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
ENVELOPES = {"batch", "record"}
KINDS = {kind.type for kind in EVENT_KINDS}


def kind_of(file: Path) -> str:
    """`step_finished.error.json` is one of the kind `step_finished`."""
    return file.name.partition(".")[0]


FILES = sorted(GOLDEN.glob("*.json"))
EVENTS = [file for file in FILES if kind_of(file) not in ENVELOPES]


def load(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found


def test_every_kind_has_a_golden_message_and_every_message_a_kind() -> None:
    """A kind without a file, or a file without a kind, is a contract that nobody wrote down."""
    assert {kind_of(file) for file in FILES} == KINDS | ENVELOPES


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_golden_events_are_read_and_written_back_unchanged(file: Path) -> None:
    """Strict reading accepts it, writing gives the same JSON, the tag is the file's."""
    raw = load(file)
    event = read_event(raw, Unfit())
    assert event.type == kind_of(file)
    assert json.loads(to_json(event)) == raw


@pytest.mark.parametrize("kind", EVENT_KINDS, ids=lambda kind: kind.type)
def test_golden_events_of_a_kind_show_every_member(kind: type) -> None:
    """Together the files of a kind have every member of it, so that none can be renamed unseen."""
    shown = {member for file in EVENTS if kind_of(file) == kind.type for member in load(file)}  # type: ignore[attr-defined]  # an event
    assert shown == {*kind.__dataclass_fields__, "type"}  # type: ignore[attr-defined]  # a dataclass


def test_the_golden_record_is_read_and_written_back_unchanged() -> None:
    """What a worker reads is what a gateway writes."""
    raw = load(GOLDEN / "record.json")
    record, notes = read_record(raw)
    assert json.loads(to_json(record)) == raw
    assert (notes.unknown, sum(notes.dropped.values())) == (0, 0)


def test_the_golden_batch_is_read_and_written_back_unchanged() -> None:
    """What a gateway reads is what an SDK writes."""
    raw = load(GOLDEN / "batch.json")
    version, producer, items = read_batch_head(raw, Unfit())
    batch = Batch(v=version, producer=producer, events=[read_event(item, Unfit()) for item in items])
    assert json.loads(to_json(batch)) == raw
