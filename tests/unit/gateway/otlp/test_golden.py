"""Requests that real exporters sent, and the events that they are beside them; see tests/golden/otlp/README.md.

`python -m tests.unit.gateway.otlp.test_golden` writes the events anew; read the difference.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from agenttracer.wire.envelope import VERSION
from agenttracer.wire.vocabulary import StepKind
from producer_gateway.events.record_builder import Envelope, build_records
from producer_gateway.otlp import decode_json, decode_protobuf
from producer_gateway.otlp.convert import to_events
from servicekit import codec
from tests.unit.gateway.batches import NOW_US

GOLDEN = Path(__file__).parents[3] / "golden" / "otlp"
FILES = sorted([*GOLDEN.glob("*.pb"), *GOLDEN.glob("*.body.json")])
WORDS = (b"words", b"secret", b"example.com", b"Traceback", b"free text")


def records(file: Path) -> list[Any]:
    """What would lie in the log."""
    decode = decode_protobuf.decode if file.suffix == ".pb" else decode_json.decode
    traces = to_events(decode(file.read_bytes(), spans_max=1_000))
    assert not traces.rejected
    found = []
    for checked in traces.batches:
        envelope = Envelope("default", checked.producer, NOW_US)
        for each in build_records(checked.events, envelope=envelope, record_max_bytes=900_000):
            assert each.message is not None
            codec.read_record(each.message.value)
            found.append(json.loads(each.message.value))
    return found


def expected(file: Path) -> Path:
    return file.with_name(file.name.partition(".")[0] + ".json")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_real_exporter_sent(file: Path) -> None:
    """Each instrumentation's spans become the events that are written down beside them."""
    written = json.loads(expected(file).read_text(encoding="utf-8"))
    assert records(file) == [{**record, "v": VERSION} for record in written]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_must_not_pass_was_there(file: Path) -> None:
    """The words of users, answers and stack traces that these instrumentations send are in the request and in no event."""
    sent = file.read_bytes()
    assert any(word in sent for word in WORDS) or file.stem == "agents_openllmetry"
    assert not any(word in expected(file).read_bytes() for word in WORDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_a_run(file: Path) -> None:
    """Each has one start, one end, a model call and a tool; every parent but the root is among the steps."""
    events = [event for record in records(file) for event in record["events"]]
    kinds = [event["type"] for event in events]
    assert (kinds.count("run_started"), kinds.count("run_finished"), len({event["run_id"] for event in events})) == (1, 1, 1)
    steps = [event for event in events if event["type"] == "step_finished"]
    assert {StepKind.TOOL} < {StepKind(step["kind"]) for step in steps}
    assert len({step["parent_step_id"] for step in steps} - {step["step_id"] for step in steps}) == 1


if __name__ == "__main__":
    for each in FILES:
        expected(each).write_text(json.dumps(records(each), indent=1) + "\n", encoding="utf-8")
