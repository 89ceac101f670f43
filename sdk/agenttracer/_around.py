"""Functions of every shape inside a scope: the decorators, and `carry`. Arguments and values are only passed on.

A generator is inside its scope only while its body runs: between its values, the code that consumes it is where it was
before, even if two generators take turns. No value is held here while it is out.
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from agenttracer import _warn
from agenttracer._current import CURRENT, ScopeToken, leave
from agenttracer._run import Run
from agenttracer._step import Step

_NAMELESS: Final = "nameless"

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Scope = Run | Step


class Visit:
    """One call's stay in a scope that goes on after it. Entered whenever the call's body runs."""

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope
        self.token: ScopeToken | None = None
        self._inner = scope
        """Where the body was when it was left: in a step of its own, perhaps."""

    def __enter__(self) -> Self:
        self.token = CURRENT.set(self._inner)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self.token is not None:
            self._inner = CURRENT.get()
            leave(self.token)

    def over(self, error: BaseException | None) -> None:
        """The call is over, ended by `error` if that is one."""


class Stay(Visit):
    """One call that is a run or step of its own, begun already."""

    scope: Scope

    def __enter__(self) -> Self:
        super().__enter__()
        self.scope.token = self.token
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.scope.token = None
        super().__exit__(kind, error, trace)

    def over(self, error: BaseException | None) -> None:
        """End the run or step."""
        self.scope.end(error=error)


class _Whole:
    """From the beginning of a call to its end."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def __enter__(self) -> Visit:
        return self._visit

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        self._visit.over(error)


class _Consumed(_Whole):
    """The same of a generator, whose consumer may have enough at any value: that is no error."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, None if isinstance(error, GeneratorExit) else error, trace)


def around(function: FunctionT, visit: Callable[[], Visit]) -> FunctionT:
    """`function` in its own shape, each call of it inside what `visit` answers then."""
    import inspect  # noqa: PLC0415 - costs more to import than the rest of the surface; decorating happens once

    if inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, visit)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, visit)
    elif inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - objects have it too
        wrapped = _coroutine(function, visit)
    else:
        wrapped = _plain(function, visit)
    return functools.wraps(function)(wrapped)  # type: ignore[return-value]  # the same shape and signature


def _plain(function: Callable[..., Any], visit: Callable[[], Visit]) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        with _Whole(visit()) as stay, stay:
            return function(*args, **kwargs)

    return inside


def _coroutine(function: Callable[..., Awaitable[Any]], visit: Callable[[], Visit]) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        with _Whole(visit()) as stay, stay:
            return await function(*args, **kwargs)

    return inside


def _generator(function: Callable[..., Generator[Any, Any, Any]], visit: Callable[[], Visit]) -> Callable[..., Any]:
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - passed on
        with _Consumed(visit()) as stay:
            return (yield from _Resumed(function(*args, **kwargs), stay))

    return inside


class _Resumed(Iterator[Any]):
    """A generator, for `yield from`, that is inside a scope whenever it runs."""

    def __init__(self, generator: Generator[Any, Any, Any], stay: Visit) -> None:
        self._generator = generator
        self._stay = stay

    def __next__(self) -> Any:  # noqa: ANN401 - passed on
        with self._stay:
            return next(self._generator)

    def send(self, value: Any) -> Any:  # noqa: ANN401 - passed on
        with self._stay:
            return self._generator.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - passed on, in one part or, before 3.12, in three
        with self._stay:
            return self._generator.throw(*error)

    def close(self) -> None:
        with self._stay:
            self._generator.close()


def _async_generator(function: Callable[..., AsyncGenerator[Any, Any]], visit: Callable[[], Visit]) -> Callable[..., Any]:
    async def inside(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - passed on
        with _Consumed(visit()) as stay:
            generator = function(*args, **kwargs)
            move: list[Awaitable[Any]] = [generator.asend(None)]
            while True:
                values = await _moved(move.pop(), stay)
                if values is None:
                    return
                try:
                    move.append(generator.asend((yield values.pop())))
                except GeneratorExit:
                    await _moved(generator.aclose(), stay)
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever the consumer throws in is the generator's to handle
                    move.append(generator.athrow(error))

    return inside


async def _moved(move: Awaitable[Any], stay: Visit) -> list[Any] | None:
    """The next value, alone in a list out of which it can be handed on; None when there are no more."""
    with stay:
        try:
            return [await move]
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
        known_as = name or str(getattr(function, "__name__", _NAMELESS))

        def visit() -> Visit:
            scope = CURRENT.get()
            return Visit(None) if scope is None else Stay(scope.run.start_step(kind, known_as))

        return around(function, visit)

    return decorate


def carry(function: FunctionT, *, scope: Scope | None = None) -> FunctionT:
    """`function`, to be called elsewhere as if from here: in the step or run that is current now, or in `scope`.

    For thread pools and threads, which start without a place: `pool.submit(carry(work), …)`, `pool.map(carry(work), …)`.
    Tasks and `asyncio.to_thread` need no help.
    """
    place = CURRENT.get() if scope is None else scope
    return around(function, lambda: Visit(place))
