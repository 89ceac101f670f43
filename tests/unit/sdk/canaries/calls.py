"""Canaries in every parameter of the SDK's own calls: names, metadata, failures, exceptions, arguments and values."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, cast

from agenttracer import AgentTracer, carry, traced_step
from tests.support.firewall.canaries import Canaries

Offer = Callable[[AgentTracer, Canaries], None]


class CodedError(Exception):
    """Like a client's error whose code and status are sentences, and whose response holds the body."""

    def __init__(self, sing: Canaries) -> None:
        super().__init__(sing.text(), {"prompt": sing.token()})
        self.code = self.status_code = self.type = self.param = sing.text()
        self.body = {"error": {"message": sing.token()}}


def _raised(tracer: AgentTracer, error: BaseException) -> None:
    with contextlib.suppress(type(error)), tracer.start_run() as run, run.step("tool", "lookup"):
        raise error


def as_run(tracer: AgentTracer, sing: Canaries) -> None:
    with tracer.start_run(metadata={"note": sing.text(), sing.token(): 1, "prompt": sing.token()}, traceparent=sing.token()):
        pass


def as_step(tracer: AgentTracer, sing: Canaries) -> None:
    with tracer.start_run() as run, run.step(sing.token(), sing.text()):
        run.start_step(sing.token(), sing.text()).end()
        run.set_status(sing.token())


def as_failure(tracer: AgentTracer, sing: Canaries) -> None:
    with tracer.start_run() as run, run.step("tool", "lookup") as step:
        for scope in (run, step):
            scope.record_failure(failure_type=sing.token(), failure_code=sing.text(), message=sing.token())


def as_metadata(tracer: AgentTracer, sing: Canaries) -> None:
    given: dict[str, Any] = {"list": [sing.token()], "map": {"key": sing.token()}, "bytes": sing.token().encode()}
    given |= {"long": sing.token() * 50, "note": sing.text(), sing.token(): 1, sing.text(): sing.token()}
    given |= {key: sing.token() for key in ("prompt", "messages", "tool.arguments", "llm.output.text")}
    with tracer.start_run() as run, run.step("tool", "lookup") as step:
        step.add_metadata(given)


def as_exception(tracer: AgentTracer, sing: Canaries) -> None:
    _raised(tracer, ValueError(sing.token(), {"args": sing.token()}))
    _raised(tracer, CodedError(sing))
    _raised(tracer, OSError(2, sing.token(), sing.token()))
    _raised(tracer, KeyError(sing.token()))


def as_cause(tracer: AgentTracer, sing: Canaries) -> None:
    error = ValueError("outer")
    error.__cause__ = RuntimeError(sing.token())
    error.__cause__.__context__ = RuntimeError("inner")
    _raised(tracer, error)


def as_context(tracer: AgentTracer, sing: Canaries) -> None:
    error = ValueError("later")
    error.__context__ = LookupError(sing.token())
    with tracer.start_run() as run:
        run.start_step("tool", "lookup").end(error=error)


def as_note(tracer: AgentTracer, sing: Canaries) -> None:
    error = ValueError()
    error.add_note(sing.token())
    _raised(tracer, error)


def as_group(tracer: AgentTracer, sing: Canaries) -> None:
    _raised(tracer, ExceptionGroup(sing.token(), [ValueError(sing.token()), CodedError(sing)]))


def as_arguments(tracer: AgentTracer, sing: Canaries) -> None:
    @traced_step("tool", sing.text())
    def tool(text: str, *, more: str) -> str:
        return text + more + sing.token()

    @tracer.traced_run(metadata={"text": sing.text()})
    def agent(text: str) -> str:
        return tool(text, more=sing.token()) + carry(sing.token)()

    agent(sing.token())


def as_generated(tracer: AgentTracer, sing: Canaries) -> None:
    """Yielded, sent in, thrown in and returned."""

    @tracer.traced_run
    def generate(prompt: str) -> Iterator[str]:
        with contextlib.suppress(ValueError):
            yield prompt + str((yield sing.token()))
        return sing.token()

    generator = cast("Any", generate(sing.token()))
    next(generator)
    generator.send(sing.token())
    with contextlib.suppress(StopIteration):
        generator.throw(ValueError(sing.token()))


def as_generated_in_a_loop(tracer: AgentTracer, sing: Canaries) -> None:
    @tracer.traced_run
    async def generate(prompt: str) -> AsyncIterator[str]:
        yield prompt
        yield sing.token()

    @tracer.traced_run
    async def agent(prompt: str) -> list[str]:
        return [value async for value in generate(prompt)]

    asyncio.run(agent(sing.token()))


CHANNELS: Final[tuple[Offer, ...]] = (
    *(as_run, as_step, as_failure, as_metadata, as_exception, as_cause, as_context, as_note, as_group),
    *(as_arguments, as_generated, as_generated_in_a_loop),
)
