"""A scope that has ended is nobody's context, whoever left it, closed it or dropped it."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agenttracer import AgentTracer, Run, UsageError, carry, current_run, current_step, traced_step
from agenttracer._tracing import context
from agenttracer.wire.events import Event, RunStarted
from tests.unit.sdk.captured import end, steps


def parents(events: list[Event]) -> list[str | None]:
    return [event.parent_run_id for event in events if isinstance(event, RunStarted)]


async def tokens(run: Run) -> AsyncGenerator[int, None]:
    async with run.step("respond", "stream"):
        for number in range(9):
            yield number


async def whole(tracer: AgentTracer) -> AsyncGenerator[int, None]:
    async with tracer.start_run():
        for number in range(9):
            yield number


def test_what_follows_a_stream_left_by_break_is_outside_it(tracer: AgentTracer, events: list[Event]) -> None:
    """The loop closes the generator in a task of its own, which cannot put the consumer's context back."""

    async def agent() -> None:
        async with tracer.start_run() as run:
            async for _ in tokens(run):
                break
            gc.collect()
            await asyncio.sleep(0.01)
            assert current_step() is None
            with run.step("tool", "after"):
                pass

    asyncio.run(agent())
    stream, after = steps(events)
    assert (stream.name, stream.status, after.parent_step_id) == ("stream", "ok", None)
    assert end(events).emitted == len(events) == 4


def test_what_follows_a_stream_closed_in_another_task_is_outside_it(tracer: AgentTracer, events: list[Event]) -> None:
    """Also a step inside another step: it nests where the stream did."""

    async def agent() -> None:
        async with tracer.start_run() as run, run.step("plan", "outer"):
            stream = tokens(run)
            await anext(stream)
            await asyncio.create_task(stream.aclose())
            with run.step("tool", "after"):
                pass

    asyncio.run(agent())
    by_name = {step.name: step for step in steps(events)}
    assert by_name["after"].parent_step_id == by_name["stream"].parent_step_id == by_name["outer"].step_id


def test_a_run_closed_in_another_task_is_no_later_runs_parent(tracer: AgentTracer, events: list[Event]) -> None:
    """A worker that takes requests one after another in one task starts a root for each."""

    async def server() -> None:
        for _ in range(3):
            stream = whole(tracer)
            await anext(stream)
            await asyncio.create_task(stream.aclose())
            assert current_run() is None

    asyncio.run(server())
    assert parents(events) == [None, None, None]


def test_many_streams_left_early_make_no_chain(tracer: AgentTracer, events: list[Event]) -> None:
    """Each scope lets go of what lay outside it, or a task that serves for days would keep everything."""

    async def server() -> None:
        for _ in range(50):
            stream = whole(tracer)
            await anext(stream)
            await asyncio.create_task(stream.aclose())
        with tracer.start_run() as run:
            assert run.outer is None

    asyncio.run(server())


def test_tasks_that_start_their_successors_make_no_chain(tracer: AgentTracer, events: list[Event]) -> None:
    """Each is made inside its predecessor's run and goes on after it."""
    depths: list[int] = []

    async def link(left: int, begun: asyncio.Event) -> None:
        with tracer.start_run() as run:
            begun.set()
            await asyncio.sleep(0)
            scope, depth = run.outer, 0
            while scope is not None:
                scope, depth = scope.outer, depth + 1
            depths.append(depth)
            if left:
                follows = asyncio.Event()
                tasks.append(asyncio.create_task(link(left - 1, follows)))
                await follows.wait()

    async def main() -> None:
        tasks.append(asyncio.create_task(link(40, asyncio.Event())))
        while tasks:
            await tasks.pop(0)

    tasks: list[asyncio.Task[None]] = []
    asyncio.run(main())
    assert len(depths) == 41
    assert max(depths) < 5


def test_a_task_that_outlives_its_step_is_where_the_step_was(tracer: AgentTracer, events: list[Event]) -> None:
    """The task's copy of the context names a step that is over: what it starts nests in the step around that one."""

    async def late(run: Run, go: asyncio.Event) -> None:
        await go.wait()
        step = current_step()
        assert step is not None
        assert step.name == "outer"
        with run.step("tool", "late"):
            pass

    async def agent() -> None:
        go = asyncio.Event()
        async with tracer.start_run() as run, run.step("plan", "outer"):
            async with run.step("plan", "inner"):
                task = asyncio.create_task(late(run, go))
            go.set()
            await task

    asyncio.run(agent())
    by_name = {step.name: step for step in steps(events)}
    assert by_name["late"].parent_step_id == by_name["outer"].step_id


def test_a_run_ended_inside_its_own_block_is_over(tracer: AgentTracer, events: list[Event]) -> None:
    """A run that follows inside the block is a root, a decorated function runs untraced."""

    @traced_step("tool")
    def lookup() -> None:
        assert current_run() is None

    before = tracer.stats().untraced
    with tracer.start_run() as run:
        run.end()
        assert current_run() is None
        lookup()
        with tracer.start_run():
            pass
    assert parents(events) == [None, None]
    assert steps(events) == []
    assert tracer.stats().untraced == before + 1


def test_steps_and_failures_after_a_runs_end_are_misuse(tracer: AgentTracer, events: list[Event]) -> None:
    """They are counted and not stored: the end has said how many events the run has."""
    run = tracer.start_run()
    early = run.start_step("tool", "early")
    run.end()
    early.end()
    with run.step("tool", "late"):
        assert current_step() is None
    run.record_failure(failure_type="tool", failure_code="timeout")
    early.record_failure(failure_type="tool", failure_code="timeout")
    assert [event.type for event in events] == ["run_started", "run_finished"]
    assert end(events).emitted == 2
    assert tracer.stats().misuses == 4


def test_an_error_passes_through_a_step_of_an_ended_run(events: list[Event]) -> None:
    """Also when strict: the agent's own exception goes on, and not the SDK's."""
    tracer = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    run = tracer.start_run()
    run.end()
    with pytest.raises(LookupError), run.step("tool", "late"):
        raise LookupError
    with pytest.raises(UsageError), run.step("tool", "late"):
        pass
    tracer.shutdown(0)


def test_a_stream_that_nobody_closed_ends_with_its_run(tracer: AgentTracer, events: list[Event]) -> None:
    """Its step is stored before the run's end, and closing it later changes nothing."""

    async def agent() -> None:
        async with tracer.start_run() as run:
            stream = tokens(run)
            await anext(stream)
        await stream.aclose()

    asyncio.run(agent())
    assert [event.type for event in events] == ["run_started", "step_finished", "run_finished"]
    assert end(events).emitted == 3
    assert tracer.stats().misuses == 0


@pytest.mark.parametrize("closed_by", ["aclose", "collector"])
def test_decorated_async_generators_left_early_end_in_order(tracer: AgentTracer, events: list[Event], closed_by: str) -> None:
    """The inner step, then the outer one, then the run: though the loop closes the inner generator last."""

    @traced_step("respond")
    async def inner() -> AsyncIterator[int]:
        for number in range(9):
            yield number

    @tracer.traced_run
    async def outer() -> AsyncIterator[int]:
        async for number in inner():
            yield number

    async def consumer() -> None:
        stream = outer()
        await anext(stream)
        if closed_by == "aclose":
            await stream.aclose()  # type: ignore[attr-defined]  # a generator in fact
        del stream
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(consumer())
    assert [event.type for event in events] == ["run_started", "step_finished", "run_finished"]
    assert tracer.stats().misuses == 0


def test_decorated_plain_generators_left_early_end_in_order(tracer: AgentTracer, events: list[Event]) -> None:
    """The inner one first, when the consumer drops the outer one."""

    @traced_step("respond")
    def inner() -> Iterator[int]:
        yield from range(9)

    @traced_step("respond")
    def middle() -> Iterator[int]:
        yield from inner()

    @tracer.traced_run
    def outer() -> Iterator[int]:
        yield from middle()

    stream = outer()
    next(stream)
    del stream
    gc.collect()
    assert [getattr(event, "name", event.type) for event in events] == ["run_started", "inner", "middle", "run_finished"]


def drive(generator: Generator[str, None, None], *, base: contextvars.Context) -> None:
    """As Starlette's `iterate_in_threadpool`: each value in a worker thread, in a fresh copy of the request's context."""
    with ThreadPoolExecutor(2) as pool:
        while pool.submit(base.copy().run, next, generator, None).result() is not None:
            pass


@traced_step("tool", "lookup")
def lookup() -> None:
    pass


@traced_step("respond", "write")
def write() -> None:
    raise ConnectionError


def body(tracer: AgentTracer) -> Generator[str, None, None]:
    with tracer.start_run() as run:
        lookup()
        yield "a"
        lookup()
        yield "b"
        with run.step("other", "block"):
            yield "c"
            lookup()
            with run.step("plan", "inner"):
                yield "d"
                lookup()
        lookup()
        with pytest.raises(ConnectionError):
            write()
        yield "e"


def decorated(tracer: AgentTracer) -> Generator[str, None, None]:
    @tracer.traced_run
    def generator() -> Generator[str, None, None]:
        lookup()
        yield "a"
        run = current_run()
        assert run is not None
        lookup()
        with run.step("other", "block"):
            yield "c"
            lookup()
            with run.step("plan", "inner"):
                yield "d"
                lookup()
        lookup()
        with pytest.raises(ConnectionError):
            write()
        yield "e"

    return generator()


@pytest.mark.parametrize("make", [body, decorated])
@pytest.mark.parametrize("inside", ["nothing", "a run"])
def test_a_generator_keeps_its_steps_where_each_value_has_a_fresh_context(
    tracer: AgentTracer, events: list[Event], make: "type[object]", inside: str
) -> None:
    """All steps are there and nested, also where the server itself is in a run."""
    if inside == "a run":
        with tracer.start_run():
            base = contextvars.copy_context()
            drive(make(tracer), base=base)  # type: ignore[call-arg, arg-type]  # the two functions above
    else:
        drive(make(tracer), base=contextvars.copy_context())  # type: ignore[call-arg, arg-type]
    found = steps(events)
    by_id = {step.step_id: step.name for step in found}
    nested = [(step.name, by_id.get(step.parent_step_id or "")) for step in found]
    assert nested[-6:] == [
        ("lookup", "block"),
        ("lookup", "inner"),
        ("inner", "block"),
        ("block", None),
        ("lookup", None),
        ("write", None),
    ]
    assert set(nested[:-6]) == {("lookup", None)}
    runs = {event.run_id for event in events if isinstance(event, RunStarted)}
    assert {step.run_id for step in found} == runs - ({events[0].run_id} if inside == "a run" else set())
    assert tracer.stats().misuses == 0
    assert context._STREAMED == {}


def test_a_carried_call_is_where_it_was_carried_to(tracer: AgentTracer, events: list[Event]) -> None:
    """Also out of a generator's body that has a run of its own."""
    other = tracer.start_run()

    def stream() -> Iterator[str]:
        with tracer.start_run():
            yield "a"
            carry(lookup, scope=other)()
            lookup()
            yield "b"

    assert list(stream()) == ["a", "b"]
    carried, own = steps(events)
    assert carried.run_id == other.run_id != own.run_id
    assert set() == context.PINNED


def test_an_untraced_call_is_counted_and_a_streamed_run_is_then_not_complete(tracer: AgentTracer, events: list[Event]) -> None:
    """A call that a stream's own thread makes has lost the run: the run's end counts one event more than will arrive."""

    def stream() -> Iterator[str]:
        with tracer.start_run(), ThreadPoolExecutor(1) as pool:
            yield "a"
            pool.submit(lookup).result()  # without `carry`
            yield "b"

    before = tracer.stats().untraced
    assert list(stream()) == ["a", "b"]
    assert tracer.stats().untraced == before + 1
    assert (end(events).emitted, len(events)) == (3, 2)


def test_a_generator_that_is_dropped_leaves_nothing_behind(tracer: AgentTracer, events: list[Event]) -> None:
    """Its run ends, and the place where its scopes are found is empty again."""
    stream = body(tracer)
    next(stream)
    assert context._STREAMED
    del stream
    gc.collect()
    assert context._STREAMED == {}
    assert [event.type for event in events][-1] == "run_finished"
    assert current_run() is None
