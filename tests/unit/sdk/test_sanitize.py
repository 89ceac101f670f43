"""Values that do not fit the contract: what the events carry instead, and what strict mode raises."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agenttracer import AgentTracer, ConfigError, MisfitError, UsageError
from agenttracer.testing import capture_events
from agenttracer.wire.events import FailureRecorded, StepFinished
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer


@pytest.mark.parametrize(
    ("metadata", "rule"),
    [
        ({"Upper": 1}, "metadata_key"),
        ({"": 1}, "metadata_key"),
        ({3: 1}, "metadata_key"),
        ({"a" * 65: 1}, "metadata_key"),
        ({"note": "free text"}, "metadata_value"),
        ({"note": "x" * 65}, "metadata_value"),
        ({"n": None}, "metadata_value"),
        ({"n": [1]}, "metadata_value"),
        ({"n": float("nan")}, "metadata_value"),
        ({"n": 2**63}, "metadata_value"),
        ({"prompt": "short"}, "content_key"),
        ({"tool.arguments": "short"}, "content_key"),
        ({"system_prompt": "short"}, "content_key"),
        ({"order": 4111111111111111}, "redacted_card"),
        ({"to": "jane.doe-at-example.com"}, "redacted_email"),
        ({f"key{number}": number for number in range(33)}, "too_many_keys"),
    ],
)
def test_misfit_metadata_is_left_out_and_counted_by_rule(
    new_tracer: NewTracer, gateway: FakeGateway, metadata: dict[Any, Any], rule: str
) -> None:
    """The entry that does not fit is gone, its neighbours and the event stay, and stats name the rule."""
    tracer = new_tracer()
    with tracer.start_run() as run, run.step("tool", "lookup") as step:
        step.add_metadata(metadata if rule == "too_many_keys" else {**metadata, "kept": 1})
    assert tracer.flush().complete
    (event,) = gateway.of_kind("step_finished")
    assert len(event["metadata"]) == (32 if rule == "too_many_keys" else 1)
    assert tracer.stats().misfits == {rule: 1}


class _CodedError(Exception):
    def __init__(self) -> None:
        self.code = "x8Kd93mZpQ2vT7wLr5Yb"


def test_what_is_no_name_is_replaced_and_counted_by_detector(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Names, codes and what exceptions carry; the step says how many of its values it was, and no text leaves the process."""
    tracer = new_tracer()
    with tracer.start_run() as run, suppress(_CodedError), run.step("tool", "pay 4111111111111111") as step:
        step.add_metadata({"host": "10.0.0.12", "app_version": "1.2.3.4"})
        raise _CodedError
    assert tracer.flush().complete
    (event,) = gateway.of_kind("step_finished")
    assert (event["name"], event["metadata"], event["redacted"]) == ("__redacted__", {"app_version": "1.2.3.4"}, 3)
    assert "error_code" not in event["evidence"]
    assert tracer.stats().misfits == {"redacted_card": 1, "redacted_ipv4": 1, "redacted_entropy": 1}


def test_what_has_the_form_of_a_name_is_judged_too(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Steps, the agent, codes of failures and of returned errors, labels of runs: nothing is a name by its form alone."""
    tracer = new_tracer(agent_id="jane.doe-at-example.com")
    with tracer.start_run(metadata={"host": "10.0.0.12", "region": "eu"}) as run:
        run.record_failure(failure_type="tool", failure_code="card_4111111111111111")
        with run.step("tool", "4111-1111-1111-1111") as step:
            step.returned_error(code="card_4111111111111111", error_class="x8Kd93mZpQ2vT7wLr5Yb")
    assert tracer.flush().complete
    (event,) = gateway.of_kind("step_finished")
    assert (event["name"], event["returned_error"], event["redacted"]) == ("__redacted__", {"code": "redacted"}, 3)
    assert gateway.of_kind("failure_recorded")[0]["failure_code"] == "redacted"
    assert gateway.of_kind("run_started")[0]["metadata"] == {"region": "eu"}
    assert {request.batch["producer"]["agent"] for request in gateway.requests} == {"__redacted__"}
    assert tracer.stats().misfits == {"redacted_email": 1, "redacted_card": 3, "redacted_entropy": 1, "redacted_ipv4": 1}


def test_labels_are_sixteen_at_most(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Those under registered keys aside."""
    tracer = new_tracer()
    with tracer.start_run() as run, run.step("tool", "lookup") as step:
        step.add_metadata({"model": "gpt-4o", **{f"k{number}": "x" for number in range(18)}})
    tracer.flush()
    assert len(gateway.of_kind("step_finished")[0]["metadata"]) == 17
    assert tracer.stats().misfits == {"too_many_labels": 2}


def test_every_fitting_value_arrives_as_it_is(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Booleans, integers, floats and labels, numbers under content keys too; later values replace earlier ones."""
    tracer = new_tracer()
    given = {"ok": True, "n": -(2**63), "share": 0.25, "model": "gpt-4o/mini", "input_tokens": 3, "prompt": 12}
    with tracer.start_run(metadata={"region": "eu"}) as run, run.step("tool", "lookup") as step:
        step.add_metadata({"n": 1})
        step.add_metadata(given)
    tracer.flush()
    assert gateway.of_kind("step_finished")[0]["metadata"] == given
    assert gateway.of_kind("run_started")[0]["metadata"] == {"region": "eu"}
    assert tracer.stats().misfits == {}


def test_unknown_kinds_types_and_codes_have_fallbacks() -> None:
    """An unknown kind is `other`, an unknown failure type `orchestration`, a code in wrong form is put right or `unspecified`."""
    tracer = AgentTracer(agent_id="a", agent_version="1")
    with capture_events() as events, tracer.start_run() as run:
        with run.step("thinking", None):
            pass
        for code in ("Rate-Limit", "what?", None):
            run.record_failure(failure_type="human", failure_code=code)
    step = next(event for event in events if isinstance(event, StepFinished))
    assert (step.kind, step.name) == ("other", "__invalid__")
    failures = [event for event in events if isinstance(event, FailureRecorded)]
    assert [failure.failure_code for failure in failures] == ["rate_limit", "unspecified", "unspecified"]
    assert {failure.failure_type for failure in failures} == {"orchestration"}
    tracer.shutdown(0)


def test_a_misfit_is_warned_of_once_without_its_value(new_tracer: NewTracer, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand bad names are one line in the log, and the line does not repeat them."""
    tracer = new_tracer()
    with caplog.at_level(logging.WARNING, logger="agenttracer"), tracer.start_run() as run:
        for _ in range(1_000):
            with run.step("tool", "secret name!"):
                pass
        tracer.flush()
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    assert tracer.stats().misfits["name"] == 1_000


@pytest.mark.parametrize(
    "misuse",
    [
        lambda run, step: run.step("thinking", "name"),
        lambda run, step: run.step("tool", "two words"),
        lambda run, step: step.add_metadata({"prompt": "text"}),
        lambda run, step: step.add_metadata({f"k{n}": 1 for n in range(33)}),
        lambda run, step: step.add_metadata("text"),
        lambda run, step: run.record_failure(failure_type="human", failure_code="x"),
        lambda run, step: run.record_failure(failure_type="tool", failure_code="Not A Code"),
        lambda run, step: run.set_status("fine"),
    ],
)
def test_strict_raises_misfits_where_they_are_made(misuse: Callable[[Any, Any], object]) -> None:
    """With strict=True every misfit is an exception of the SDK's own, at the call; without, nothing is raised."""
    strict = AgentTracer(agent_id="a", agent_version="1", strict=True)
    with capture_events():
        with strict.start_run() as run, run.step("tool", "lookup") as step, pytest.raises(MisfitError):
            misuse(run, step)
        lenient = AgentTracer(agent_id="a", agent_version="1")
        with lenient.start_run() as run, run.step("tool", "lookup") as step:
            misuse(run, step)
    strict.shutdown(0)
    lenient.shutdown(0)


def test_strict_raises_for_the_tracer_and_its_runs_too() -> None:
    """Agent names, settings and run metadata are held to the contract, and senseless calls are errors."""
    with pytest.raises(MisfitError):
        AgentTracer(agent_id="two words", agent_version="1", strict=True)
    with pytest.raises(ConfigError):
        AgentTracer(agent_id="a", agent_version="1", strict=True, flush_interval_s=-1)
    tracer = AgentTracer(agent_id="a", agent_version="1", strict=True)
    with capture_events():
        with pytest.raises(MisfitError):
            tracer.start_run(metadata={"note": "free text"})
        with tracer.start_run() as run:
            with run.step("tool", "lookup") as step:
                pass
            with pytest.raises(UsageError):
                step.add_metadata({"late": 1})
            with pytest.raises(UsageError), step:
                pass
    tracer.shutdown(0)


def test_strict_never_replaces_the_agents_own_exception() -> None:
    """While an exception of the agent's is on its way, a misuse is counted, not raised."""
    tracer = AgentTracer(agent_id="a", agent_version="1", strict=True)

    def end_early_and_fail() -> None:
        with tracer.start_run() as run:
            run.__exit__(None, None, None)
            raise ZeroDivisionError

    with capture_events(), pytest.raises(ZeroDivisionError):
        end_early_and_fail()
    assert tracer.stats().misuses == 1
    tracer.shutdown(0)


@pytest.mark.parametrize("junk", [object(), 3, b"bytes", ["list"], {"a": object()}, {("t",): 1}])
def test_junk_never_raises(junk: Any) -> None:
    """No value makes a call raise; the SDK counts the misfit."""
    tracer = AgentTracer(agent_id=junk, agent_version=junk, api_url=junk, flush_interval_s=junk)
    with capture_events(), tracer.start_run(metadata=junk) as run:
        run.record_failure(failure_type=junk, failure_code=junk, message=junk)
        run.set_status(junk)
        with run.step(junk, junk, attempt=junk) as step:
            step.add_metadata(junk)
    tracer.flush()
    tracer.shutdown(0)
