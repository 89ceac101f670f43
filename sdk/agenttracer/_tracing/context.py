"""The run or step that the calling code is in: one context variable, so that threads and tasks each have their own.

A scope that is over counts as what lay outside it: whoever closes a stream early often cannot put the context back, and tasks
keep a copy of the context that they were made in.

A generator that enters a scope in its own body has it in the context of whoever asked for that value. A server that asks for
each value in a fresh context, as Starlette does, would lose it: so the scopes of generators are also found by the generator's
frame, as long as its body is on the stack.
"""

from contextvars import ContextVar
from sys import _getframe
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from agenttracer._tracing.traced_run import ScopeToken, TracedRun, TraceScope

_CURRENT: Final[ContextVar["TraceScope | None"]] = ContextVar("agenttracer_current", default=None)
entered_scope: Final = _CURRENT.get
"""The scope that was entered last in this context. It may be over: `current_scope` looks.

A function, as the next two are: a method of an imported variable is made anew for every call, which costs as much as the call.
"""
enter_scope: Final = _CURRENT.set
leave_scope: Final = _CURRENT.reset
GENERATOR: Final = 0x20 | 0x200
"""Flags of the code of generators and async generators."""
_STREAMED: Final[dict[int, list[tuple["CodeType", "TraceScope"]]]] = {}
"""The open scopes that generators entered in their own bodies, by the id of the frame: it lives as long as the generator.

A reference to the frame would keep what the agent has in its variables.
"""
PINNED: Final[set[int]] = set()
"""Ids of the frames that set the context to a scope of the agent's choice: the frames outside them have no say."""


def current_scope() -> "TraceScope | None":
    """The innermost open scope that the calling code is in."""
    scope = entered_scope()
    if scope is not None:
        if scope.over:
            scope = _outside(scope)
            enter_scope(scope)
        if scope is not None and scope.outer is not None and scope.outer.over:
            scope.outer = _outside(scope.outer)  # else tasks that each start the next one would make a chain without end
    return _with_generators(scope, _getframe(1)) if _STREAMED else scope


def _outside(scope: "TraceScope") -> "TraceScope | None":
    found: TraceScope | None = scope
    while found is not None and found.over:
        found = found.outer
    return found


def _with_generators(scope: "TraceScope | None", frame: "FrameType | None") -> "TraceScope | None":
    """`scope`, or the innermost scope of a generator on the stack, if `scope` was entered outside that one."""
    while frame is not None and id(frame) not in PINNED:
        for code, entered in reversed(_STREAMED.get(id(frame), ())):
            if code is frame.f_code and not entered.over:
                return scope if _is_within(scope, entered) else entered
        frame = frame.f_back
    return scope


def _is_within(scope: "TraceScope | None", outer: "TraceScope") -> bool:
    while scope is not None and scope is not outer:
        scope = scope.outer
    return scope is outer


def enter_stream(scope: "TraceScope", frame: "FrameType") -> int:
    """Note that `scope` is entered in the frame of a generator. Returns the id to leave it by."""
    key = id(frame)
    _STREAMED.setdefault(key, []).append((frame.f_code, scope))
    return key


def leave_stream(scope: "TraceScope", key: int) -> None:
    """The scope that was entered under `key` is left."""
    left = [entry for entry in _STREAMED.get(key, ()) if entry[1] is not scope]
    if left:
        _STREAMED[key] = left
    else:
        _STREAMED.pop(key, None)


def step_within(run: "TracedRun") -> "TraceScope | None":
    """The innermost open step of `run` that this context is in. It skips scopes of other runs that were opened in between."""
    return step_around(current_scope(), run)


def step_around(scope: "TraceScope | None", run: "TracedRun") -> "TraceScope | None":
    """The innermost open step of `run` from `scope` outwards."""
    while scope is not None:
        if scope is run:
            return None
        if scope.run is run and not scope.over:
            return scope
        scope = scope.outer
    return None


def leave(scope: "TraceScope | None", token: "ScopeToken") -> None:
    """Make the outer scope current again.

    In another task or thread than the one that entered `scope`, only if that context has `scope` as its own.
    """
    try:
        leave_scope(token)
    except ValueError:
        if scope is not None and entered_scope() is scope:
            enter_scope(scope.outer)
