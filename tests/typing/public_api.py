"""Every public call of the SDK, as a program would write it. Checked by mypy --strict, never run."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

import agenttracer
from agenttracer import (
    AgentTracer,
    AgentTracerError,
    ConfigError,
    FlushResult,
    MisfitError,
    Run,
    Stats,
    Step,
    UsageError,
    carry,
    current_run,
    current_step,
    traced_step,
)
from agenttracer.testing import capture_events
from agenttracer.wire.events import Event
from agenttracer.wire.vocabulary import DropReason

version: str = agenttracer.__version__
tracer = AgentTracer(
    agent_id="support-agent",
    agent_version="1.4.0",
    api_url="http://127.0.0.1:8000",
    api_key="key",
    allow_insecure=False,
    disabled=False,
    strict=True,
    fingerprint_key=b"k" * 16,
    read_errors=True,
    sample_rate=0.1,
    flush_interval_s=0.5,
    batch_max_events=1_000,
    queue_max_events=20_000,
    queue_max_bytes=2**24,
    heartbeat_interval_s=60,
    abandon_after_s=600,
    connect_timeout_s=2,
    request_timeout_s=10,
    exit_timeout_s=2,
    flush_on_end=False,
    flush_on_sigterm=True,
)


def blocks() -> None:
    """Runs and steps as context managers."""
    with tracer.start_run(metadata={"region": "eu", "canary": True}) as run:
        assert_type(run, Run)
        assert_type(run.run_id, str)
        with run.step("tool", "lookup", attempt=2) as step:
            assert_type(step, Step)
            assert_type(step.step_id, str)
            assert_type(run.traceparent(), str)
            step.add_metadata({"count": 3, "share": 0.5, "cached": True, "model": "small"})
            step.identify("order", 17, {"deep": True})
            step.returned_error(code="not_found", http_status=404, exit_status=1, error_class="NotFound")
            step.record_failure(failure_type="tool", failure_code="timeout")
        with run.step("tool", "lookup", key=("order", 17)):
            run.set_end_reason("limit_steps")
        run.record_failure(failure_type="model", failure_code="refused", message="stays here")
        run.set_status("partial")


async def async_blocks() -> None:
    """The same in coroutines."""
    async with tracer.start_run(traceparent=None, session="conversation") as run, run.step("plan", "think") as step:
        assert_type(run, Run)
        assert_type(step, Step)


def explicit(error: BaseException) -> None:
    """Started here, ended there."""
    run = tracer.start_run(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    outer = run.start_step("plan", "outer")
    inner = run.start_step("tool", "inner", parent=outer, attempt=1, key="order")
    assert_type(inner, Step)
    inner.end(error=error)
    outer.end()
    run.end()
    run.end(error=error)


@tracer.traced_run
def agent(question: str) -> int:
    """A run a call."""
    return len(question)


@tracer.traced_run(metadata={"region": "eu"})
async def async_agent(question: str) -> int:
    """A run a call, with metadata."""
    return len(question)


@traced_step("tool")
def lookup(order: int, *, deep: bool = False) -> str:
    """A step a call."""
    return str(order) * deep


@traced_step("retrieve", "search_kb")
async def search(query: str) -> list[str]:
    """A step a call, named."""
    return [query]


@traced_step("respond")
def tokens() -> Iterator[str]:
    """A step a generator."""
    yield "token"


@traced_step("respond")
async def stream() -> AsyncIterator[str]:
    """A step an async generator."""
    yield "token"


async def decorated() -> None:
    """Decorators change no type."""
    assert_type(agent("q"), int)
    assert_type(await async_agent("q"), int)
    assert_type(lookup(1, deep=True), str)
    searched: Callable[[str], Coroutine[Any, Any, list[str]]] = search
    assert_type(await searched("q"), list[str])
    assert_type(list(tokens()), list[str])
    assert_type([token async for token in stream()], list[str])


def places(pool: ThreadPoolExecutor, step: Step) -> None:
    """Where the code is, and taking it along."""
    assert_type(current_run(), Run | None)
    assert_type(current_step(), Step | None)
    assert_type(pool.submit(carry(agent), "q").result(), int)
    assert_type(carry(lookup, scope=step)(1), str)


def ends() -> None:
    """What a tracer says of itself."""
    flushed = tracer.flush()
    assert_type(flushed, FlushResult)
    assert_type(flushed.complete, bool)
    assert_type((flushed.accepted, flushed.dropped, flushed.pending), tuple[int, int, int])
    stats = tracer.stats()
    assert_type(stats, Stats)
    assert_type((stats.emitted, stats.accepted, stats.pending, stats.sampled_out), tuple[int, int, int, int])
    assert_type(stats.dropped, Mapping[DropReason, int])
    assert_type(stats.misfits, Mapping[str, int])
    assert_type((stats.internal_errors, stats.misuses, stats.sender_restarts), tuple[int, int, int])
    assert_type((stats.unreported_drops, stats.untraced), tuple[int, int])
    assert_type(tracer.flush(timeout_s=1), FlushResult)
    assert_type(tracer.shutdown(timeout_s=1), FlushResult)
    assert_type(tracer.shutdown(), FlushResult)


def captured() -> None:
    """In tests of agents."""
    with capture_events() as events:
        assert_type(events, list[Event])


def errors(error: AgentTracerError) -> str:
    """What strict mode raises."""
    if isinstance(error, ConfigError):
        return assert_type(error.setting, str) + assert_type(error.rule, str)
    if isinstance(error, MisfitError):
        return assert_type(error.field, str) + assert_type(error.rule, str)
    assert isinstance(error, UsageError)
    return str(error)
