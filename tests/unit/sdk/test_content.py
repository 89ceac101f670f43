"""Content stays in the process: canaries in every parameter, none in any byte sent."""

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any, cast

import pytest

from agenttracer import AgentTracer, current_run, traced_step
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer

CANARY = "CANARY: please, keep this to yourself!"


class CanaryError(Exception):
    """Its code is a sentence, as it would be if a client put its message there."""

    code = CANARY


def talkative_run(tracer: AgentTracer, error: Exception) -> None:
    with tracer.start_run(metadata={"prompt": CANARY, CANARY: 1}) as run:
        run.record_failure(failure_type=CANARY, failure_code=f"{CANARY}!", message=CANARY)
        run.set_status(CANARY)
        with run.step(CANARY, f"{CANARY}?") as step:
            hidden: dict[str, Any] = {"text": CANARY, "a": [CANARY], "b": {"c": CANARY}, "d": CANARY.encode(), CANARY: CANARY}
            step.add_metadata(hidden)
            step.add_metadata({"note": CANARY * 100})
            raise error from RuntimeError(CANARY)


def test_no_canary_leaves_through_any_parameter(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Text offered as name, kind, metadata, failure, message or exception is in no request; the events all arrive."""
    tracer = new_tracer(agent_id=f"a {CANARY * 3}", agent_version=f"{CANARY}\n", fingerprint_key=b"k" * 16)
    error = CanaryError(CANARY, {"prompt": CANARY})
    error.add_note(CANARY)
    with pytest.raises(CanaryError):
        talkative_run(tracer, error)
    assert tracer.flush().complete
    assert len(gateway.events) == 4
    sent = str([request.batch for request in gateway.requests]) + str([request.headers for request in gateway.requests])
    assert "CANARY" not in sent
    assert "CANARY" not in repr(tracer.stats())


class Polite(str):
    """Has the form of a name, and says something else when asked for its text."""

    __slots__ = ()

    def __str__(self) -> str:
        return CANARY

    def lower(self) -> str:
        return CANARY

    def replace(self, *_: object) -> str:
        return CANARY


class PoliteCodeError(Exception):
    """Of a client whose codes are such."""

    code = Polite("rate_limited")


def test_no_canary_leaves_through_what_a_str_makes_of_itself(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Names, kinds and codes are sent as what they were checked as."""
    tracer = new_tracer(agent_id=Polite("agent"), agent_version=Polite("1 2"))
    with contextlib.suppress(PoliteCodeError), tracer.start_run(metadata={Polite("key"): Polite("label")}) as run:
        run.record_failure(failure_type=Polite("tool"), failure_code=Polite("Rate-Limit"))
        run.record_failure(failure_type=Polite("tool"), failure_code=Polite("rate_limit"))
        with run.step(Polite("tool"), Polite("lookup")):
            raise PoliteCodeError
    assert tracer.flush().complete
    sent = str([request.batch for request in gateway.requests])
    assert "CANARY" not in sent
    assert len(gateway.events) == 5
    assert {"lookup", "rate_limited", "rate_limit"} <= set(sent.replace("'", " ").split())


def test_no_canary_leaves_through_decorators_and_headers(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Arguments, results, generator values sent and yielded, exceptions given to `end`, headers, in sampled runs too."""
    tracer = new_tracer(sample_rate=0)

    @traced_step("tool", CANARY)
    def tool(text: str, *, more: str) -> str:
        return text + more

    @traced_step("respond")
    def answer(text: str) -> Iterator[str]:
        heard = yield text
        yield tool(str(heard), more=text)

    @tracer.traced_run(metadata={"text": CANARY})
    def agent(text: str) -> str:
        generator = answer(text)
        next(generator)
        said = cast("Any", generator).send(CANARY)
        run = current_run()
        assert run is not None
        run.start_step("tool", CANARY).end(error=CanaryError(CANARY))
        with tracer.start_run(traceparent=f"00-{CANARY}"):
            return str(said)

    assert CANARY in agent(CANARY)
    assert tracer.flush().complete
    assert len(gateway.events) == 5  # without the child, which succeeded and is left out, as sampling has it
    assert "CANARY" not in str([request.batch for request in gateway.requests])
    assert "CANARY" not in repr(tracer.stats())


def test_spaces_become_hyphens_only_in_names(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """A name of a few words is kept with hyphens: names are chosen by developers, unlike values."""
    tracer = new_tracer(agent_id="support agent")
    with tracer.start_run() as run, run.step("tool", "look up order"):
        pass
    tracer.flush()
    assert gateway.requests[0].batch["producer"]["agent"] == "support-agent"
    assert gateway.of_kind("step_finished")[0]["name"] == "look-up-order"
    assert tracer.stats().misfits["name"] == 2


def test_nothing_of_an_exception_or_message_is_kept(new_tracer: NewTracer) -> None:
    """After a step ended in an exception, only the agent's own references keep that exception alive."""

    class OwnError(Exception):
        pass

    tracer = new_tracer(flush_interval_s=60)
    collected = threading.Event()
    with tracer.start_run() as run:
        error = OwnError()
        weakref.finalize(error, collected.set)
        try:
            with run.step("tool", "lookup"):
                raise error
        except OwnError:
            pass
        del error
        gc.collect()
        assert collected.is_set()


def test_no_text_waits_in_the_queue(new_tracer: NewTracer) -> None:
    """What is no label, or longer than a name, is gone when the call returns; a short name is judged when its event is built."""
    tracer = new_tracer(flush_interval_s=60)
    with tracer.start_run() as run, run.step("tool", "two words?") as step:
        step.add_metadata({"note": "free text", "kept": "label", "list": ["free text"]})
        assert step.metadata == {"kept": "label"}
        assert step.name == "two words?"
        assert run.step("tool", "x?" * 40).name == "__invalid__"
