"""Spans of a request together: roots, agents, nested errors."""

import json
from typing import Any

import pytest

from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from producer_gateway.otlp.convert import _ends, to_events
from producer_gateway.otlp.decode_json import decode
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, ROOT, Json

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "refund"}
CHAT = {"gen_ai.operation.name": "chat"}
REMOTE = 0x300


def events(*spans: Json, **members: Any) -> dict[str, list[Any]]:
    traces = to_events(decode(make.as_json(*spans, **members), spans_max=100))
    made: list[Event] = [event for checked in traces.batches for event in checked.events]
    return {kind.type: [one for one in made if one.type == kind.type] for kind in (RunStarted, StepFinished, RunFinished)}


def agents(body: Json) -> dict[str, str]:
    traces = to_events(decode(json.dumps(body).encode(), spans_max=100))
    return {event.step_id: each.producer.agent for each in traces.batches for event in each.events if hasattr(event, "step_id")}


def kinds(made: dict[str, list[Any]]) -> list[int]:
    return [len(made[kind]) for kind in ("run_started", "step_finished", "run_finished")]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (make.span(said=AGENT), [1, 0, 1]),
        (make.span(), [1, 0, 1]),
        (make.span(said=CHAT), [1, 1, 1]),
        (make.span(CHILD, ROOT), [0, 1, 0]),
        (make.span(CHILD, "0" * 16, said=AGENT), [1, 0, 1]),
        (make.span(CHILD, ROOT, flags=REMOTE, said=AGENT), [1, 1, 1]),
        (make.span(CHILD, ROOT, flags=0x100), [0, 1, 0]),
    ],
)
def test_what_opens_a_run(span: Json, expected: list[int]) -> None:
    """No parent, or a remote one, opens and ends the run; a root that only frames its run is no step."""
    assert kinds(events(span)) == expected


def test_a_root_that_frames_leaves_its_metadata_with_the_run() -> None:
    """What the table keeps of such a root is metadata of the run."""
    (started,) = events(make.span(said={**AGENT, "gen_ai.request.model": "m"}))["run_started"]
    assert started.metadata == {"model": "m"}


def test_a_start_under_a_remote_parent_names_it() -> None:
    """So the store knows that the run began elsewhere; one without a parent says that it began here."""
    started = events(make.span(said=AGENT), make.span(CHILD, ROOT, flags=REMOTE, said=AGENT))["run_started"]
    assert [(one.parent_run_id, one.parent_step_id) for one in started] == [(None, None), (None, ROOT)]


def test_an_end_under_a_remote_parent_names_it() -> None:
    """So the root's own end counts, whatever the clock of the other process says."""
    ended = events(make.span(said=AGENT), make.span(CHILD, ROOT, flags=REMOTE, said=AGENT))["run_finished"]
    assert [one.parent_step_id for one in ended] == [None, ROOT]


def test_emitted_is_not_known() -> None:
    """An exporter does not say how many spans a trace has; 0 says so."""
    (finished,) = events(make.span())["run_finished"]
    assert (finished.emitted, finished.status) == (0, "success")


def test_spans_are_the_same_in_any_company() -> None:
    """A span gives equal events whether it comes with its trace or alone, before its root or after."""
    spans = [make.span(said=AGENT), make.span(CHILD, ROOT, said=CHAT), make.span(LEAF, CHILD)]
    together = [one for each in events(*spans).values() for one in each]
    alone = [one for span in spans for each in events(span).values() for one in each]
    assert sorted(together, key=repr) == sorted(alone, key=repr)


def test_an_error_that_passes_through() -> None:
    """Of nested errors of one class the innermost is the cause of all others, and of the run's end."""
    failed = make.failed("ReadTimeout")
    made = events(make.span(said=AGENT, **failed), make.span(CHILD, ROOT, **failed), make.span(LEAF, CHILD, **failed))
    assert {step.step_id: step.cause_step_id for step in made["step_finished"]} == {CHILD: LEAF, LEAF: None}
    (finished,) = made["run_finished"]
    assert (finished.status, finished.cause_step_id) == ("failure", LEAF)


def test_errors_of_their_own() -> None:
    """An error of another class than its children's is its own."""
    made = events(make.span(said=AGENT, **make.failed("ValueError")), make.span(CHILD, ROOT, **make.failed("ReadTimeout")))
    (finished,) = made["run_finished"]
    assert (finished.evidence.error_class, finished.cause_step_id) == ("ValueError", None)


def test_an_error_without_evidence_is_its_childs() -> None:
    """A root that says no more than that it failed failed by its child."""
    made = events(make.span(said=AGENT, **make.failed()), make.span(CHILD, ROOT, **make.failed("ReadTimeout")))
    assert made["run_finished"][0].cause_step_id == CHILD


def test_a_failed_root_that_is_a_step() -> None:
    """Its failure is the step's, and the run's end points there."""
    made = events(make.span(said=CHAT, **make.failed("ReadTimeout")))
    assert made["run_finished"][0].cause_step_id == ROOT
    assert made["step_finished"][0].cause_step_id is None


def test_the_last_of_several_failed_children() -> None:
    """Of attempts that failed alike the last is the cause."""
    late = {"endTimeUnixNano": str(make.START_NS + 9_000_000)}
    failed = make.failed("ReadTimeout")
    made = events(make.span(**failed), make.span(CHILD, ROOT, **failed, **late), make.span(LEAF, ROOT, **failed))
    assert made["run_finished"][0].cause_step_id == CHILD


def test_the_nearest_agent() -> None:
    """A span counts for the nearest agent above it in its resource, else for the service."""
    sub = make.span(CHILD, ROOT, said={"openinference.span.kind": "AGENT", "agent.name": "searcher"})
    stray = make.span("00000000000000aa", "00000000000000ab")
    body = make.request(make.span(said=AGENT), sub, make.span(LEAF, CHILD), stray)
    other = make.request(make.span("00000000000000ac", CHILD), resource={"service.name": "tool server"})
    body["resourceSpans"] += other["resourceSpans"]
    found = agents(body)
    assert found == {
        CHILD: "searcher",
        LEAF: "searcher",
        "00000000000000aa": "support-agent",
        "00000000000000ac": "tool-server",
    }


def test_a_resource_that_says_nothing() -> None:
    """Names are required, so they say that they are not known."""
    traces = to_events(decode(make.as_json(make.span(), resource={}), spans_max=1))
    producer = traces.batches[0].producer
    assert (producer.agent, producer.agent_version, producer.sdk) == ("unknown_service", "unknown", "otel-unknown-unknown")


def test_rings_of_parents() -> None:
    """Spans that are each other's parents are steps, and nothing runs in circles."""
    failed = make.failed("ReadTimeout")
    ring = [make.span(CHILD, LEAF, said=AGENT, **failed), make.span(LEAF, CHILD, **failed)]
    assert kinds(events(*ring)) == [0, 2, 0]
    assert kinds(events(*[{**span, "attributes": make.attributes({"agent.name": "a"})} for span in ring])) == [0, 2, 0]


def test_chains_are_followed_once() -> None:
    """A chain of any length costs its length."""
    chain = {at: at + 1 for at in range(5_000)}
    assert set(_ends(chain).values()) == {5_000}
    assert _ends({0: 1, 1: 0}) == {0: 0, 1: 0}
