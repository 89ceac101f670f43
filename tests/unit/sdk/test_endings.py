"""How runs end: the status and the reason beside it, from the exception that left the run and from what the agent's code said."""

import asyncio
import concurrent.futures
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from starlette.responses import StreamingResponse

from agenttracer import AgentTracer, MisfitError
from agenttracer.rules import control_flow
from agenttracer.wire.events import Event
from agenttracer.wire.vocabulary import END_STATUS, EndReason, RunEnd
from tests.unit.sdk.captured import end, failures, steps


def raised(name: str, *bases: str) -> BaseException:
    """An exception of a class of this name, as the framework's own: only the name is looked at."""
    base: type[BaseException] = Exception
    for each in reversed(bases):
        base = type(each, (base,), {})
    return type(name, (base,), {})()


ENDINGS: dict[str, tuple[BaseException, str, str]] = {
    "an error": (ValueError(), "failure", "error"),
    "GeneratorExit": (GeneratorExit(), "partial", "cancelled"),
    "asyncio's": (asyncio.CancelledError(), "partial", "cancelled"),
    "a future's": (concurrent.futures.CancelledError(), "partial", "cancelled"),
    "Ctrl-C": (KeyboardInterrupt(), "partial", "cancelled"),
    "Starlette's": (raised("ClientDisconnect"), "partial", "cancelled"),
    "an interrupt": (raised("GraphInterrupt", "GraphBubbleUp"), "partial", "interrupted"),
    "a subclass of one": (raised("MyInterrupt", "NodeInterrupt", "GraphInterrupt", "GraphBubbleUp"), "partial", "interrupted"),
    "a Command": (raised("ParentCommand", "GraphBubbleUp"), "success", "completed"),
    "Celery's Retry": (raised("Retry", "TaskPredicate"), "partial", "interrupted"),
    "Celery's Ignore": (raised("Ignore", "TaskPredicate"), "success", "completed"),
    "deferred": (raised("CallDeferred"), "partial", "interrupted"),
    "approval": (raised("ApprovalRequired"), "partial", "interrupted"),
    "Temporal's": (raised("ContinueAsNewError"), "partial", "interrupted"),
    "exit 0": (SystemExit(0), "success", "completed"),
    "exit None": (SystemExit(), "success", "completed"),
    "exit 1": (SystemExit(1), "failure", "error"),
    "exit with a text": (SystemExit("text"), "failure", "error"),
    "a group of cancellations": (
        BaseExceptionGroup("text", [asyncio.CancelledError(), asyncio.CancelledError()]),
        "partial",
        "cancelled",
    ),
    "a group with an error": (BaseExceptionGroup("text", [asyncio.CancelledError(), ValueError()]), "failure", "error"),
    "too many steps": (raised("GraphRecursionError", "RecursionError"), "failure", "limit_steps"),
    "too many turns": (raised("MaxTurnsExceeded", "AgentsException"), "failure", "limit_steps"),
    "too long": (raised("SoftTimeLimitExceeded"), "failure", "limit_time"),
    "too expensive": (raised("BudgetExceededError"), "failure", "limit_cost"),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_a_run_that_an_exception_leaves_says_why_it_ended(tracer: AgentTracer, events: list[Event], what: str) -> None:
    """Status and reason; evidence only of what is an error; and the exception goes on."""
    error, status, reason = ENDINGS[what]
    with pytest.raises(type(error)) as caught, tracer.start_run():
        raise error
    assert caught.value is error
    assert (end(events).status, end(events).end_reason) == (status, reason)
    assert (end(events).evidence is not None) == (status == "failure")


@pytest.mark.parametrize("what", ENDINGS)
def test_a_step_that_control_flow_leaves_did_not_fail(tracer: AgentTracer, events: list[Event], what: str) -> None:
    """A cancelled step did not do its work; an interrupt, a jump, an exit with 0 and a stream left early are no errors."""
    error, status, _ = ENDINGS[what]
    with tracer.start_run() as run, contextlib.suppress(BaseException), run.step("tool", "ask"):
        raise error
    fine = isinstance(error, GeneratorExit) or ENDINGS[what][2] in {"interrupted", "completed"}
    assert steps(events)[0].status == ("ok" if fine else "error")
    assert end(events).status == ("success" if fine else "partial")
    del status


def test_every_ending_goes_with_its_status() -> None:
    """What the contract says of reasons and statuses holds of each case above."""
    assert all(RunEnd(status) in END_STATUS[EndReason(reason)] for _, status, reason in ENDINGS.values())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("langgraph.errors.GraphInterrupt", EndReason.INTERRUPTED),
        ("celery.exceptions.Ignore", EndReason.COMPLETED),
        ("builtins.GeneratorExit", EndReason.CANCELLED),
        ("AbortError", EndReason.CANCELLED),
        ("ERR_CANCELED", EndReason.CANCELLED),
        ("ABORT_ERR", EndReason.CANCELLED),
        ("GraphInterruptError", None),
        ("httpx.ConnectError", None),
    ],
)
def test_the_lists_are_read_with_or_without_modules(name: str, reason: EndReason | None) -> None:
    """Other tracers write the module before the class, or do not."""
    assert control_flow.end_reason_of((name,)) is reason


def test_no_name_is_in_two_lists() -> None:
    """Which list comes first would otherwise decide."""
    lists = (control_flow.CANCELLED, control_flow.INTERRUPTED, control_flow.CONTROL_FLOW, frozenset(control_flow.LIMITS))
    assert sum(map(len, lists)) == len(frozenset().union(*lists))


def generators(tracer: AgentTracer) -> list[Callable[[], Iterator[int]]]:
    @tracer.traced_run
    def decorated() -> Iterator[int]:
        yield from range(9)

    def block() -> Iterator[int]:
        with tracer.start_run():
            yield from range(9)

    return [decorated, block]


@pytest.mark.parametrize("which", [0, 1])
def test_a_stream_that_its_consumer_left_is_cancelled(tracer: AgentTracer, events: list[Event], which: int) -> None:
    """And one that was read to its end is not."""
    stream = generators(tracer)[which]()
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator in fact
    assert list(generators(tracer)[which]()) == list(range(9))
    ends = [event for event in events if event.type == "run_finished"]
    assert [(each.status, each.end_reason) for each in ends] == [("partial", "cancelled"), ("success", "completed")]


def test_what_the_agent_said_of_a_cancelled_run_counts(tracer: AgentTracer, events: list[Event]) -> None:
    """A failure that it recorded is a failure, a success that it named is one."""
    for told in ("failure", "success", "recorded"):
        with contextlib.suppress(asyncio.CancelledError), tracer.start_run() as run:
            if told == "recorded":
                run.record_failure(failure_type="tool", failure_code="timeout")
            else:
                run.set_status(told)
            raise asyncio.CancelledError
    ends = [event for event in events if event.type == "run_finished"]
    assert [(each.status, each.end_reason) for each in ends] == [
        ("failure", "error"),
        ("success", "completed"),
        ("failure", "error"),
    ]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("limit_steps", "failure"),
        ("limit_time", "failure"),
        ("limit_tokens", "failure"),
        ("limit_cost", "failure"),
        ("cancelled", "partial"),
        ("interrupted", "partial"),
        ("completed", "success"),
    ],
)
def test_the_agent_may_say_the_reason(tracer: AgentTracer, events: list[Event], reason: str, status: str) -> None:
    """The status follows from it. An error that leaves the run still wins."""
    with tracer.start_run() as run:
        run.set_end_reason(reason)
    failed = tracer.start_run()
    failed.set_end_reason(reason)
    with pytest.raises(ValueError, match=r"^$"), failed:
        raise ValueError
    ends = [event for event in events if event.type == "run_finished"]
    assert [(each.status, each.end_reason) for each in ends] == [(status, reason), ("failure", "error")]


def test_a_reason_that_is_none_is_counted(tracer: AgentTracer, events: list[Event], caplog: pytest.LogCaptureFixture) -> None:
    """The warning names those that there are; a strict tracer raises."""
    with caplog.at_level(logging.WARNING, "agenttracer"), tracer.start_run() as run:
        run.set_end_reason("budget")
    assert end(events).end_reason == "completed"
    assert "limit_cost" in caplog.text
    strict = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    with pytest.raises(MisfitError, match="limit_cost"):
        strict.start_run().set_end_reason("budget")
    strict.shutdown(0)


def test_a_failed_run_has_the_reason_error(tracer: AgentTracer, events: list[Event]) -> None:
    """Also if the agent only recorded the failure, or named the status."""
    with tracer.start_run() as run:
        run.set_status("failure")
    assert (end(events).status, end(events).end_reason) == ("failure", "error")
    assert failures(events) == []


def bodies(tracer: AgentTracer) -> list[AsyncIterator[bytes]]:
    async def with_block() -> AsyncIterator[bytes]:
        async with tracer.start_run() as run, run.step("respond", "stream"):
            for _ in range(100):
                yield b"x"
                await asyncio.sleep(0.001)

    @tracer.traced_run
    async def decorated() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0.001)

    return [with_block(), decorated()]


async def serve(body: AsyncIterator[bytes], *, spec: str) -> None:
    """One response, whose client leaves after some chunks: the server says so, or `send` fails."""
    left = asyncio.Event()
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)
        if len(sent) == 5:
            left.set()
            if spec >= "2.4":
                raise OSError

    scope = {"type": "http", "asgi": {"spec_version": spec}, "method": "GET", "headers": []}
    with contextlib.suppress(BaseException):
        await StreamingResponse(body)(scope, receive, send)  # type: ignore[arg-type]  # as much of ASGI as it needs


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_streaming_response_whose_client_left_is_cancelled(
    tracer: AgentTracer, events: list[Event], which: int, spec: str
) -> None:
    """Starlette cancels the response's task, or its `send` fails: by block and by decorator, and never a failure."""
    asyncio.run(serve(bodies(tracer)[which], spec=spec))
    assert (end(events).status, end(events).end_reason) == ("partial", "cancelled")
    assert [step.name for step in steps(events)] == ["stream"][: 1 - which]
