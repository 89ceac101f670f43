"""Runs and steps around functions of every shape, and places carried to other threads."""

import asyncio
import gc
import inspect
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from agenttracer import AgentTracer, carry, current_run, current_step, traced_step
from agenttracer.testing import capture_events
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with capture_events() as captured:
        yield captured


@pytest.fixture
def tracer() -> Iterator[AgentTracer]:
    made = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    yield made
    made.shutdown(0)


def steps(events: list[Event]) -> dict[str, StepFinished]:
    return {event.name: event for event in events if isinstance(event, StepFinished)}


def end(events: list[Event]) -> RunFinished:
    (found,) = [event for event in events if isinstance(event, RunFinished)]
    return found


@traced_step("tool")
def lookup(order: int, *, scale: int = 1) -> int:
    """Look an order up."""
    return order * scale


@traced_step("retrieve", "search_kb")
async def search(query: str) -> str:
    await asyncio.gather(asyncio.to_thread(lookup, 1))
    return query


@traced_step("respond")
def tokens(count: int) -> Generator[int, str, str]:
    heard = ""
    for number in range(count):
        lookup(number)
        heard += (yield number) or ""
    return heard


@traced_step("respond")
async def stream(count: int) -> AsyncGenerator[int, str]:
    for number in range(count):
        try:
            await search("x")
            if (yield number) == "stop":
                return
        except KeyError:
            yield -1


class ManyPartsError(Exception):
    """Cannot be made again from its class alone."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text, number)


def test_an_exception_thrown_into_a_generator_is_the_one_that_arrives(tracer: AgentTracer) -> None:
    """As a context manager, into which older Pythons throw in three parts."""

    @contextmanager
    @traced_step("tool")
    def held() -> Iterator[None]:
        try:
            yield
        except ManyPartsError as error:
            seen.append(error)
            raise

    seen: list[ManyPartsError] = []
    thrown = ManyPartsError("boom", 3)
    with tracer.start_run(), pytest.raises(ManyPartsError) as caught, held():
        raise thrown
    assert caught.value is thrown
    assert seen == [thrown]


def test_a_generator_goes_on_where_it_was(tracer: AgentTracer, events: list[Event]) -> None:
    """In the step that it had open when it gave a value away, and not in the one around."""

    @traced_step("respond")
    def outer() -> Iterator[int]:
        run = current_run()
        assert run is not None
        with run.step("tool", "middle"):
            yield 1
            with run.step("tool", "inner"):
                yield 2
        lookup(1)

    with tracer.start_run():
        list(outer())
    found = steps(events)
    assert found["inner"].parent_step_id == found["middle"].step_id
    assert found["middle"].parent_step_id == found["lookup"].parent_step_id == found["outer"].step_id


def test_without_its_arguments_a_decorator_harms_nothing(events: list[Event]) -> None:
    """`@traced_step` alone traces as `other`; a name for a run is left out."""
    lax = AgentTracer(agent_id="agent", agent_version="1")

    @traced_step
    def bare(word: str) -> str:
        return word * 2

    @lax.traced_run("a-name")  # type: ignore[call-overload]  # a likely mistake
    def named() -> str:
        return bare("x")

    assert named() == "xx"
    assert steps(events)["bare"].kind == "other"
    lax.shutdown(0)


def test_an_object_with_an_async_call(tracer: AgentTracer, events: list[Event]) -> None:
    """It is timed until its work is done."""

    class Agent:
        async def __call__(self) -> int:
            await asyncio.sleep(0)
            raise ValueError

    with tracer.start_run(), pytest.raises(ValueError, match=r"^$"):
        asyncio.run(traced_step("tool", "agent")(Agent())())
    assert steps(events)["agent"].status == "error"


def test_functions_keep_their_shape_name_and_signature() -> None:
    """Frameworks that look at a function see what was decorated."""
    assert inspect.iscoroutinefunction(search)
    assert inspect.isgeneratorfunction(tokens)
    assert inspect.isasyncgenfunction(stream)
    assert (lookup.__name__, lookup.__doc__) == ("lookup", "Look an order up.")
    assert str(inspect.signature(lookup)) == "(order: int, *, scale: int = 1) -> int"


def test_each_call_of_a_decorated_function_is_a_step_of_the_current_run(tracer: AgentTracer, events: list[Event]) -> None:
    """Arguments and results pass through, names default to the function's, and calls nest."""
    with tracer.start_run():
        assert lookup(21, scale=2) == 42
        assert asyncio.run(search("free text?")) == "free text?"
    assert [(step.kind, step.name) for step in events if isinstance(step, StepFinished)] == [
        ("tool", "lookup"),
        ("tool", "lookup"),
        ("retrieve", "search_kb"),
    ]
    assert events[2].parent_step_id == steps(events)["search_kb"].step_id
    assert "free text" not in repr(events)


def test_outside_any_run_a_decorated_function_runs_untraced(events: list[Event]) -> None:
    """No event, no warning, the same results."""

    async def all_of_stream() -> list[int]:
        return [number async for number in stream(2)]

    assert lookup(2) == 2
    assert asyncio.run(search("x")) == "x"
    assert list(tokens(2)) == [0, 1]
    assert asyncio.run(all_of_stream()) == [0, 1]
    assert events == []


def test_an_exception_of_a_decorated_function_marks_its_step(tracer: AgentTracer, events: list[Event]) -> None:
    """It goes on unchanged, and each outer step names the one in which it arose."""
    error = LookupError("no such order")

    @traced_step("tool")
    def inner() -> None:
        raise error

    @traced_step("plan")
    async def outer() -> None:
        inner()

    @tracer.traced_run
    async def agent() -> None:
        await outer()

    with pytest.raises(LookupError) as caught:
        asyncio.run(agent())
    assert caught.value is error
    assert steps(events)["outer"].cause_step_id == end(events).cause_step_id == steps(events)["inner"].step_id
    assert end(events).status == "failure"


def test_each_call_of_a_traced_run_is_a_run(tracer: AgentTracer, events: list[Event]) -> None:
    """With or without arguments of the decorator; inside another run it is a child."""

    @tracer.traced_run(metadata={"region": "eu"})
    def agent(depth: int) -> str:
        run = current_run()
        assert run is not None
        assert current_step() is None
        return run.run_id if depth == 0 else agent(depth - 1)

    inner = agent(1)
    started = [event for event in events if isinstance(event, RunStarted)]
    assert started[1].run_id == inner
    assert started[1].parent_run_id == started[0].run_id
    assert started[0].metadata == {"region": "eu"}
    assert current_run() is None


def test_a_generator_is_inside_its_step_only_while_it_runs(tracer: AgentTracer, events: list[Event]) -> None:
    """Two generators take turns: what each does nests in its own step, what the consumer does in neither."""
    with tracer.start_run() as run:
        first, second = tokens(2), tokens(2)
        for _ in range(2):
            next(first)
            next(second)
            assert current_step() is None
            with run.step("plan", "between"):
                pass
        first.close()
        with pytest.raises(StopIteration):
            next(second)
    answers = [step for step in events if isinstance(step, StepFinished) and step.name == "tokens"]
    parents = [step.parent_step_id for step in events if isinstance(step, StepFinished) and step.name == "lookup"]
    assert parents == [answers[0].step_id, answers[1].step_id] * 2
    assert steps(events)["between"].parent_step_id is None
    assert {step.status for step in answers} == {"ok"}
    assert end(events).status == "success"


def test_a_generator_hears_what_is_sent_and_thrown_and_returns_its_value(tracer: AgentTracer, events: list[Event]) -> None:
    """`send`, `throw` and the value of `yield from` work as without the decorator."""
    with tracer.start_run():
        generator = tokens(2)
        next(generator)
        generator.send("a")
        with pytest.raises(StopIteration) as stopped:
            generator.send("b")
        assert stopped.value.value == "ab"
        generator = tokens(2)
        next(generator)
        with pytest.raises(ValueError, match="unwanted"):
            generator.throw(ValueError("unwanted"))
    assert [step.status for step in events if isinstance(step, StepFinished) and step.name == "tokens"] == ["ok", "error"]


def test_an_async_generator_hears_what_is_sent_and_thrown(tracer: AgentTracer, events: list[Event]) -> None:
    """`asend`, `athrow`, `aclose` and exhaustion work as without the decorator, each closing the step once."""

    async def agent() -> None:
        async with tracer.start_run():
            assert [number async for number in stream(2)] == [0, 1]
            stream_of_five = stream(5)
            assert await anext(stream_of_five) == 0
            assert await stream_of_five.athrow(KeyError()) == -1
            assert await stream_of_five.asend("") == 1
            with pytest.raises(StopAsyncIteration):
                await stream_of_five.asend("stop")
            closed = stream(5)
            assert await anext(closed) == 0
            await closed.aclose()
            broken = stream(5)
            await anext(broken)
            with pytest.raises(ZeroDivisionError):
                await broken.athrow(ZeroDivisionError())
            assert current_step() is None

    asyncio.run(agent())
    assert [step.status for step in events if isinstance(step, StepFinished) and step.name == "stream"] == [
        "ok",
        "ok",
        "ok",
        "error",
    ]
    (searched, *_) = [step for step in events if isinstance(step, StepFinished) and step.name == "search_kb"]
    assert searched.parent_step_id == next(step.step_id for step in events if getattr(step, "name", "") == "stream")


class Value:
    """Something that can be watched."""


@traced_step("respond")
def values() -> Iterator[Value]:
    while True:
        yield Value()


@traced_step("respond")
async def async_values() -> AsyncIterator[Value]:
    while True:
        yield Value()


def test_values_of_generators_are_not_kept(tracer: AgentTracer, events: list[Event]) -> None:
    """While a generator waits for its consumer, only the consumer holds the value."""

    async def watched(generator: AsyncIterator[Value]) -> "weakref.ref[Value]":
        return weakref.ref(await anext(generator))

    async def agent() -> None:
        generator = async_values()
        seen = await watched(generator)
        gc.collect()
        assert seen() is None
        await generator.aclose()  # type: ignore[attr-defined]  # an iterator to its readers, a generator in fact

    with tracer.start_run():
        generator = values()
        seen = weakref.ref(next(generator))
        gc.collect()
        assert seen() is None
        asyncio.run(agent())
        generator.close()  # type: ignore[attr-defined]  # as above
    assert "Value" not in repr(events)


def test_a_carried_function_takes_its_place_along(tracer: AgentTracer, events: list[Event]) -> None:
    """In a pool every call nests where `carry` was called, many at once, and the pool's threads are left as they were."""
    with ThreadPoolExecutor(4) as pool:
        with tracer.start_run() as run, run.step("plan", "fan_out") as outer:
            assert list(pool.map(carry(lookup), range(50))) == list(range(50))
        assert list(pool.map(lambda _: current_run(), range(8))) == [None] * 8
    parents = {step.parent_step_id for step in events if isinstance(step, StepFinished) and step.name == "lookup"}
    assert parents == {outer.step_id}
    assert end(events).emitted == len(events) == 53


def test_a_carried_function_may_be_given_its_place(tracer: AgentTracer, events: list[Event]) -> None:
    """Code with an explicit step puts calls of its own into that step."""
    run = tracer.start_run()
    step = run.start_step("plan", "callbacks")
    carry(lookup, scope=step)(1)
    assert asyncio.run(carry(search, scope=run)("x")) == "x"
    step.end()
    run.end()
    assert [event.parent_step_id for event in events if isinstance(event, StepFinished)] == [
        step.step_id,
        steps(events)["search_kb"].step_id,
        None,
        None,
    ]


def test_tasks_of_uvloop_nest_like_those_of_asyncio(tracer: AgentTracer, events: list[Event]) -> None:
    """Context variables are the loop's promise, whichever loop it is."""
    uvloop: Any = pytest.importorskip("uvloop")

    @tracer.traced_run
    async def agent() -> None:
        run = current_run()
        assert run is not None
        async with run.step("plan", "outer"), asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(search("x"))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(agent())
    parents = {step.parent_step_id for step in events if isinstance(step, StepFinished) and step.name == "search_kb"}
    assert parents == {steps(events)["outer"].step_id}
