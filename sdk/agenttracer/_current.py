"""Which run or step the calling code is in: one context variable, so that threads and tasks each see their own."""

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agenttracer._run import Run
    from agenttracer._step import Step

CURRENT: Final[ContextVar["Run | Step | None"]] = ContextVar("agenttracer_current", default=None)
"""The innermost open scope of this context."""

ScopeToken = Token["Run | Step | None"]


def current_run() -> "Run | None":
    """The run that the calling code is in, or None."""
    scope = CURRENT.get()
    return None if scope is None else scope.run


def current_step() -> "Step | None":
    """The innermost step that the calling code is in, or None."""
    scope = CURRENT.get()
    return None if scope is None or scope is scope.run else scope  # type: ignore[return-value]  # not its own run: a step


def step_within(run: "Run") -> "Step | None":
    """The innermost step of `run` that this context is in. Scopes of other runs that were opened in between are looked past."""
    scope = CURRENT.get()
    while scope is not None:
        if scope is run:
            return None
        if scope.run is run:
            return scope  # type: ignore[return-value]  # a scope that is not its own run is a step
        scope = scope.outer
    return None


def leave(token: ScopeToken) -> None:
    """Make the outer scope current again, if this is still the context in which the inner one was entered."""
    try:
        CURRENT.reset(token)
    except ValueError:
        return  # closed from another task or thread: that context has its own current scope
