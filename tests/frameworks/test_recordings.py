"""What real frameworks' agents exported, through the gateway's converter; see README.md beside this file."""

import json
import tomllib
from typing import Any

import pytest

from docs.generate import frameworks_table
from producer_gateway.otlp import decode_json, decode_protobuf
from producer_gateway.otlp.convert import to_events
from tests.frameworks import checks
from tests.frameworks.child import scenario
from tests.frameworks.expectation import FOLDER, SPANS_MAX, converted, names, read_recording, runs_of, written
from tests.frameworks.recording import CANARY, otlp, recorded
from tests.unit.gateway.otlp import spans as make

NAMES = names()


def about(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name / "about.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_gateway_makes_of_a_recording(name: str) -> None:
    """Runs and steps, with names, kinds, order, nesting, models, tokens and errors, are those of the expectation file."""
    found = converted(read_recording(name))
    assert not found.rejected
    assert written(runs_of(found)) == (FOLDER / name / "expected.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_both_encodings_say_the_same(name: str) -> None:
    """The recording in protobuf and in JSON becomes the same events."""
    request = otlp(read_recording(name))
    encoded = make.protobuf(request), json.dumps(request).encode()
    by_protobuf, by_json = (
        decode_protobuf.decode(encoded[0], spans_max=SPANS_MAX),
        decode_json.decode(encoded[1], spans_max=SPANS_MAX),
    )
    assert written(runs_of(to_events(by_protobuf))) == written(runs_of(to_events(by_json)))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_seen_of_an_agent(name: str) -> None:
    """All that the agent did can be seen, but for what its instrumentation does not say, which about.toml gives a reason for."""
    lacking = {check for check, is_seen in checks.answers(runs_of(converted(read_recording(name)))).items() if not is_seen}
    assert lacking == about(name).get("lacks", {}).keys()


@pytest.mark.parametrize("name", NAMES)
def test_recordings_hold_no_content(name: str) -> None:
    """No word of questions, answers, arguments, results or documents is in a recording or in what is made of it."""
    for file in ("recording.json", "expected.json"):
        text = (FOLDER / name / file).read_text(encoding="utf-8").lower()
        assert CANARY not in text
        assert "/root/" not in text
        assert "/tmp/" not in text


@pytest.mark.parametrize("name", NAMES)
def test_environments_are_pinned(name: str) -> None:
    """What was recorded can be recorded again: every requirement has its version, and nothing says where it comes from."""
    requirements = FOLDER / name / "requirements.txt"
    if not requirements.exists():
        assert (FOLDER / name / "package-lock.json").exists()
        return
    lines = requirements.read_text(encoding="utf-8").splitlines()
    assert all("==" in line and "://" not in line for line in lines)


def test_canaries_stand_in_all_that_is_content() -> None:
    """The scenario's texts are found by the word that the others are searched for."""
    texts = (scenario.INSTRUCTIONS, scenario.QUESTION, scenario.FAILING_QUESTION, scenario.ANSWER, *scenario.DOCUMENTS)
    arguments = [value for turn in scenario.TURNS for _, given in turn for value in given.values()]
    assert all(CANARY in text.lower() for text in (*texts, *arguments))


def test_a_recording_is_blind_to_ids_times_and_the_order_of_what_overlaps() -> None:
    """The same agent recorded twice gives the same text; one call more gives another."""
    first = _trace("a" * 32, ("1", "2", "3"), offset_ns=0)
    again = _trace("b" * 32, ("7", "9", "8"), offset_ns=5_000_000_000, swapped=True)
    assert recorded([make.protobuf(first)]) == recorded([make.protobuf(again)])
    more = _trace("b" * 32, ("7", "9", "8", "6"), offset_ns=0)
    assert recorded([make.protobuf(first)]) != recorded([make.protobuf(more)])


def test_a_recording_keeps_order_and_overlap() -> None:
    """The two tools overlap within their root, and stand in the order of their names."""
    (found,) = recorded([make.protobuf(_trace("a" * 32, ("1", "2", "3"), offset_ns=0))])["resources"]
    root, first, second = found["spans"]
    assert [each["name"] for each in (root, first, second)] == ["agent", "tool a", "tool b"]
    assert root["at"][0] < first["at"][0] < second["at"][0] < min(first["at"][1], second["at"][1]) <= root["at"][1]
    assert {each["parent"] for each in (first, second)} == {root["id"]}


def test_the_table_in_the_docs_is_what_was_found() -> None:
    """`make frameworks-table` writes it anew."""
    text = frameworks_table.PAGE.read_text(encoding="utf-8")
    assert text == frameworks_table.page(text)


def _trace(trace: str, ids: tuple[str, ...], *, offset_ns: int, swapped: bool = False) -> dict[str, Any]:
    """A root and tools that overlap; the first two in either order."""
    root, *tools = (each * 16 for each in ids)
    spans = [_timed("agent", (trace, root, ""), start_ns=offset_ns, took_ns=1_000_000_000)]
    starts = (20_000_000, 10_000_000, 30_000_000) if swapped else (10_000_000, 20_000_000, 30_000_000)
    for name, span_id, start in zip(("tool a", "tool b", "tool c"), tools, starts, strict=False):
        spans.append(_timed(name, (trace, span_id, root), start_ns=offset_ns + start, took_ns=500_000_000))
    return make.request(*spans)


def _timed(name: str, ids: tuple[str, str, str], *, start_ns: int, took_ns: int) -> dict[str, Any]:
    trace, span_id, parent = ids
    start = make.START_NS + start_ns
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + took_ns)}
    return {**make.span(span_id, parent, {"gen_ai.tool.call.id": span_id}), "traceId": trace, "name": name, **times}
