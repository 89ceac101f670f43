"""How a run ends: its status and the reason, from the exception that left it and from what the agent's code said."""

from typing import TYPE_CHECKING, Final, NamedTuple

from agenttracer._events.evidence import members
from agenttracer.rules.control_flow import end_reason_of, end_reason_of_class
from agenttracer.wire.vocabulary import EndReason, RunEnd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agenttracer._tracing.traced_run import TracedRun

_NOTHING_FAILED: Final = frozenset({EndReason.INTERRUPTED, EndReason.COMPLETED})
_NO_ERROR: Final = _NOTHING_FAILED | {EndReason.CANCELLED}
_CUT_SHORT: Final = frozenset({EndReason.CANCELLED, EndReason.INTERRUPTED, EndReason.EXITED})


class Ending(NamedTuple):
    """The status and reason of a run's end, and whether the exception is an error."""

    status: RunEnd
    reason: EndReason
    is_error: bool


ENDED_WELL: Final = Ending(RunEnd.SUCCESS, EndReason.COMPLETED, is_error=False)
ENDED_PARTLY: Final = Ending(RunEnd.PARTIAL, EndReason.COMPLETED, is_error=False)
FAILED: Final = Ending(RunEnd.FAILURE, EndReason.ERROR, is_error=False)
_BY_STATUS: Final = {ending.status: ending for ending in (ENDED_WELL, ENDED_PARTLY, FAILED)}
"""Ends that no exception caused."""


def reason_of(error: BaseException) -> EndReason | None:
    """The reason to end that an exception stands for; None: it is an error. A group is what all of its members are."""
    if isinstance(error, BaseExceptionGroup):
        reasons = {None if member is error else reason_of(member) for member in members(error)}
        return reasons.pop() if len(reasons) == 1 else None
    if isinstance(error, SystemExit) and not (error.code is None or (type(error.code) is int and error.code == 0)):
        return None
    return end_reason_of(_names(type(error)))


def _names(kind: type) -> "Iterator[str]":
    return (each.__name__ for each in kind.__mro__)


def reason_of_class(name: str | None) -> EndReason | None:
    """`reason_of` an exception of which no more than its class's name is known."""
    return None if name is None else end_reason_of_class(name)


def says_nothing(error: BaseException) -> bool:
    """Whether a step that the exception leaves did not fail by it. A step that was cancelled did not do its work."""
    return isinstance(error, GeneratorExit) or reason_of(error) in _NOTHING_FAILED


def ending_of(run: "TracedRun", error: BaseException | None) -> Ending:
    """How `run` ends that `error` leaves."""
    return ending_for(run, EndReason.COMPLETED if error is None else reason_of(error))


def ending_for(run: "TracedRun", reason: EndReason | None) -> Ending:
    """How `run` ends for a reason that its last exception stands for. None is an error, which wins over all that was said."""
    if reason is None:
        return Ending(RunEnd.FAILURE, EndReason.ERROR, is_error=True)
    if reason not in _NO_ERROR:
        return Ending(RunEnd.FAILURE, reason, is_error=True)  # a limit
    reason = run.set_reason or reason
    if reason in _CUT_SHORT:
        return _cut_short(run, reason)
    if reason is not EndReason.COMPLETED:
        return Ending(RunEnd.FAILURE, reason, is_error=False)
    return _BY_STATUS[run.set_end or run.derived_end()]


def _cut_short(run: "TracedRun", reason: EndReason) -> Ending:
    """Nothing is known of how it would have ended, but for what the agent's code said."""
    if run.told_to_fail:
        return Ending(RunEnd.FAILURE, EndReason.ERROR, is_error=False)
    if run.set_end is RunEnd.SUCCESS:
        return Ending(RunEnd.SUCCESS, EndReason.COMPLETED, is_error=False)
    return Ending(RunEnd.PARTIAL, reason, is_error=False)
