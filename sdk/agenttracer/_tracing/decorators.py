"""Functions, coroutines and generators inside a scope: the decorators, and `carry`. Arguments and values are only passed on.

A generator is inside its scope only while its body runs. Between its values the consuming code has its own scope again, even
if two generators alternate. No value is kept here after it was handed on.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from sys import _getframe
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from agenttracer import _warn
from agenttracer._tracing.context import PINNED, current_scope, enter_scope, entered_scope, leave
from agenttracer._tracing.current import current_run
from agenttracer._tracing.run import Run
from agenttracer._tracing.step import Step
from agenttracer._tracing.traced_run import ScopeToken, TraceScope
from agenttracer._tracing.untraced import untraced

_NAMELESS: Final = "nameless"

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Visit:
    """One call inside a scope that outlives it. Entered whenever the call's body runs."""

    def __init__(self, scope: TraceScope | None) -> None:
        self.scope = scope
        self.token: ScopeToken | None = None
        self._inner = scope
        """The scope in which the body was suspended: perhaps a step of its own."""

    def __enter__(self) -> Self:
        self.token = enter_scope(self._inner)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self.token is not None:
            self._inner = entered_scope()
            leave(None, self.token)

    def open(self) -> None:
        """The call of a generator began."""

    def finish(self, error: BaseException | None) -> None:
        """The call ended, with `error` if that is not None. Later calls do nothing."""


class CarriedVisit(Visit):
    """One call in a scope of the agent's choice, wherever it is made."""

    def __enter__(self) -> Self:
        self._frame = id(_getframe(1))
        PINNED.add(self._frame)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        PINNED.discard(self._frame)
        super().__exit__(kind, error, trace)


class OwnScopeVisit(Visit):
    """One call that is a run or step of its own, begun already."""

    scope: Run | Step

    def __init__(self, scope: Run | Step) -> None:
        super().__init__(scope)
        self._finished = False

    def open(self) -> None:
        """Let the step end before its run: the consumer of an async generator that leaves it early does not close it."""
        run, scope = self.scope.run, self.scope
        if scope is not run:
            if run.open_visits is None:
                run.open_visits = set()
            run.open_visits.add(self)

    def finish(self, error: BaseException | None) -> None:
        """End the run or step."""
        if self._finished:
            return
        self._finished = True
        if self.scope.run.open_visits is not None:
            self.scope.run.open_visits.discard(self)
        self.scope.end(error=error)


class _Call:
    """The whole of a call, from its beginning to its end."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def __enter__(self) -> Visit:
        return self._visit

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        self._visit.finish(error)


class _GeneratorCall(_Call):
    """The call of a generator. Its consumer may leave it at any value."""

    def __enter__(self) -> Visit:
        self._visit.open()
        return self._visit


def wrap_function(function: FunctionT, new_visit: Callable[[], Visit]) -> FunctionT:
    """A function of the same kind as `function`, each call of which is inside the visit that `new_visit` returns."""
    import inspect  # noqa: PLC0415 - costs more to import than the rest of the surface; decorating happens once

    if inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, new_visit)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, new_visit)
    elif inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - objects have it too
        wrapped = _coroutine(function, new_visit)
    else:
        wrapped = _plain(function, new_visit)
    return functools.wraps(function)(wrapped)  # type: ignore[return-value]  # the same shape and signature


def _plain(function: Callable[..., Any], new_visit: Callable[[], Visit]) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        with _Call(new_visit()) as visit, visit:
            return function(*args, **kwargs)

    return inside


def _coroutine(function: Callable[..., Awaitable[Any]], new_visit: Callable[[], Visit]) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        with _Call(new_visit()) as visit, visit:
            return await function(*args, **kwargs)

    return inside


def _generator(function: Callable[..., Generator[Any, Any, Any]], new_visit: Callable[[], Visit]) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - passed on
        with _GeneratorCall(new_visit()) as visit:
            return (yield from _ScopedGenerator(function(*args, **kwargs), visit))

    return inside


class _ScopedGenerator(Iterator[Any]):
    """A generator, for `yield from`, that is inside a scope whenever it runs."""

    def __init__(self, generator: Generator[Any, Any, Any], visit: Visit) -> None:
        self._generator = generator
        self._visit = visit

    def __next__(self) -> Any:  # noqa: ANN401 - passed on
        with self._visit:
            return next(self._generator)

    def send(self, value: Any) -> Any:  # noqa: ANN401 - passed on
        with self._visit:
            return self._generator.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - passed on, in one argument or, before 3.12, in three
        with self._visit:
            return self._generator.throw(*error)

    def close(self) -> None:
        with self._visit:
            self._generator.close()


def _async_generator(function: Callable[..., AsyncGenerator[Any, Any]], new_visit: Callable[[], Visit]) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - passed on
        with _GeneratorCall(new_visit()) as visit:
            generator = function(*args, **kwargs)
            pending: list[Awaitable[Any]] = [generator.asend(None)]
            while True:
                values = await _advance(pending.pop(), visit)
                if values is None:
                    return
                try:
                    pending.append(generator.asend((yield values.pop())))
                except GeneratorExit:
                    await _advance(generator.aclose(), visit)
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator handles what its consumer throws in
                    pending.append(generator.athrow(error))

    return inside


async def _advance(awaited: Awaitable[Any], visit: Visit) -> list[Any] | None:
    """The next value, alone in a list from which the caller takes it; None when there are no more."""
    with visit:
        try:
            return [await awaited]
        except StopAsyncIteration:
            return None


def traced_step(kind: str, name: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Decorate a function, coroutine function, generator or async generator: each call is a step of the current run.

    `kind` and `name` are those of `Run.step`; without `name` it is the function's own. Outside any run the function runs
    untraced. Arguments and values are passed on and never looked at.
    """
    if callable(kind):  # used bare
        _warn.once("traced_step", "traced_step was used without a kind; its steps are 'other'")
        return traced_step("other")(kind)

    def decorate(function: FunctionT) -> FunctionT:
        step_name = name or str(getattr(function, "__name__", _NAMELESS))

        def new_visit() -> Visit:
            run = current_run()
            if run is None:
                untraced.add()
                return Visit(None)
            return OwnScopeVisit(run.start_step(kind, step_name))

        return wrap_function(function, new_visit)

    return decorate


def carry(function: FunctionT, *, scope: Run | Step | None = None) -> FunctionT:
    """`function`, to be called elsewhere as if from here: in the step or run that is current now, or in `scope`.

    For threads and thread pools, which start outside any run: `pool.submit(carry(work), …)`, `pool.map(carry(work), …)`.
    Tasks and `asyncio.to_thread` need no help.
    """
    target: TraceScope | None = current_scope() if scope is None else scope
    return wrap_function(function, lambda: CarriedVisit(target))
