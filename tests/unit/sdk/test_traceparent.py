"""Child runs across processes, by the W3C header `traceparent`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttracer import AgentTracer, MisfitError
from agenttracer._events.traceparent import Origin, formatted, parsed
from agenttracer.wire.events import Event, RunStarted

TRACE = "0af7651916cd43dd8448eb211c80319c"
RUN_ID = "0af76519-16cd-43dd-8448-eb211c80319c"
STEP = "b7ad6b7169203331"


def started(events: list[Event]) -> RunStarted:
    return [event for event in events if isinstance(event, RunStarted)][-1]


def test_a_step_hands_its_place_to_another_process(tracer: AgentTracer, events: list[Event]) -> None:
    """The header of one process makes the run of another the child of its run and step."""
    with tracer.start_run() as run, run.step("tool", "call") as step:
        header = run.traceparent()
    assert header == f"00-{run.run_id.replace('-', '')}-{step.step_id}-01"
    with tracer.start_run(traceparent=header):
        pass
    assert (started(events).parent_run_id, started(events).parent_step_id) == (run.run_id, step.step_id)


def test_outside_any_step_the_run_itself_is_the_parent(tracer: AgentTracer, events: list[Event]) -> None:
    """The header is well formed all the same: its parent id is never zero."""
    run = tracer.start_run()
    header = run.traceparent()
    run.end()
    assert header.split("-")[2] == run.run_id.replace("-", "")[16:]
    with tracer.start_run(traceparent=header):
        pass
    assert (started(events).parent_run_id, started(events).parent_step_id) == (run.run_id, None)


def test_a_header_wins_over_the_current_run(tracer: AgentTracer, events: list[Event]) -> None:
    """Who passes it has said who the caller is; without one (None) the current run is the parent."""
    with tracer.start_run() as outer, tracer.start_run(traceparent=f"00-{TRACE}-{STEP}-01"):
        assert (started(events).parent_run_id, started(events).parent_step_id) == (RUN_ID, STEP)
        with tracer.start_run(traceparent=None):
            assert started(events).parent_run_id != outer.run_id


MALFORMED = [
    "",
    "text",
    f"00-{TRACE}-{STEP}",
    f"00-{TRACE}-{STEP}-01-more",
    f"ff-{TRACE}-{STEP}-01",
    f"00-{TRACE.upper()}-{STEP}-01",
    f"00-{'0' * 32}-{STEP}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{STEP}-1",
    f"00-{TRACE}-{STEP}-0g",
    f"0-{TRACE}-{STEP}-01",
    f"01-{TRACE}-{STEP}-01-{'x' * 1000}",
]


@pytest.mark.parametrize("header", MALFORMED)
def test_a_malformed_header_is_counted_and_ignored(tracer: AgentTracer, events: list[Event], header: str) -> None:
    """The run starts without that parent; strict raises, without repeating the header."""
    with tracer.start_run(traceparent=header):
        pass
    assert started(events).parent_run_id is None
    assert tracer.stats().misfits == {"traceparent": 1}
    strict = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    with pytest.raises(MisfitError) as refused:
        strict.start_run(traceparent=header)
    assert str(refused.value) == "traceparent: traceparent"
    strict.shutdown(0)


@pytest.mark.parametrize("header", [f"01-{TRACE}-{STEP}-01", f"cc-{TRACE}-{STEP}-03-later", f" 00-{TRACE}-{STEP}-ff "])
def test_later_versions_and_unknown_flags_are_read(header: str) -> None:
    """As the recommendation asks: what is known is used, the rest left alone."""
    assert parsed(header) == Origin(RUN_ID, int(STEP, 16), sampled=True)


@given(st.uuids(version=4), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read(run_id: object, bits: int, sampled: bool) -> None:  # noqa: FBT001 - drawn
    """A header read back is where it came from."""
    origin = Origin(str(run_id), bits, sampled=sampled)
    back = parsed(formatted(origin))
    assert back in {origin, origin._replace(bits=0)}
    assert (back == origin) or f"{bits:016x}" == str(run_id).replace("-", "")[16:]


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever arrives is read or refused, never raised at."""
    assert parsed(text) is None
