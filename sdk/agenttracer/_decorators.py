"""Steps around functions, and functions that take their place in a run with them to other threads."""

from collections.abc import Callable
from typing import Final

from agenttracer._around import FunctionT, Scope, Stay, Visit, around
from agenttracer._current import CURRENT

_NAMELESS: Final = "nameless"


def traced_step(kind: str, name: str | None = None) -> Callable[[FunctionT], FunctionT]:
    """Decorate a function, coroutine function, generator or async generator: each call is a step of the current run.

    `kind` and `name` are those of `Run.step`; without `name` it is the function's own. Outside any run the function runs
    untraced. Arguments and values are passed on and never looked at.
    """

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
