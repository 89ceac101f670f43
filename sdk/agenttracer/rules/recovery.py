"""Which failed calls of a run a later call made good, and what that makes of the run's end. One rule for SDK and worker.

A later call makes a failed one good if it went well, stands at the same *place* (kinds and names from the run inwards, never the
id of a parent), and follows it: where the work of both is known it must be the same, and begin when the failed one had ended.
Where it is not known, calls beside each other are a fan-out and no attempts of one thing: then it must begin after everything
that overlapped the failed one, directly or through others.

Times are of one clock, in any unit.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from agenttracer.wire.vocabulary import RunEnd, StepKind

Place = tuple[tuple[StepKind, str], ...]
"""Kinds and names of a step and of the steps around it, from the run inwards."""
_FIRST_ATTEMPT = 1


class Call(NamedTuple):
    """One step as a call, of those at one place."""

    began: int
    ended: int
    failed: bool
    work: str | None = None
    """Digest of its tool and arguments, where they are known."""
    said_attempt: int = 0
    """The attempt that the agent's code said it is; 0 if it said none. A first attempt makes nothing good."""


def made_good(calls: Sequence[Call]) -> frozenset[int]:
    """Of calls at one place: indices of those that failed and that a later one made good. Their order does not matter."""
    later = _Successes(call for call in calls if not call.failed and call.said_attempt != _FIRST_ATTEMPT)
    if not later.last:
        return frozenset()
    ends = _ends_of_fan_outs(calls)
    return frozenset(
        index for index, call in enumerate(calls) if call.failed and later.any_after(call, fan_out_ended=ends[index])
    )


def judged_end(said: RunEnd, *, unrecovered: bool) -> RunEnd:
    """How a run ended: as it was told, but not in success where something failed that nothing made good."""
    return RunEnd.PARTIAL if said is RunEnd.SUCCESS and unrecovered else said


class _Successes:
    """When the last of the calls that went well began: of all, by work, of unknown work, and of those that said an attempt."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.last = 0
        self._of_unknown = 0
        self._by_work: dict[str, int] = {}
        self._said = 0
        self._said_of_unknown = 0
        for call in calls:
            self.last = max(self.last, call.began)
            if call.said_attempt:
                self._said = max(self._said, call.began)
            if call.work is not None:
                self._by_work[call.work] = max(self._by_work.get(call.work, 0), call.began)
                continue
            self._of_unknown = max(self._of_unknown, call.began)
            if call.said_attempt:
                self._said_of_unknown = max(self._said_of_unknown, call.began)

    def any_after(self, failed: Call, *, fan_out_ended: int) -> bool:
        """Whether one of them follows `failed`."""
        if failed.work is None:
            return self.last >= fan_out_ended or self._said >= failed.ended
        same = self._by_work.get(failed.work, -1) >= failed.ended
        return same or self._of_unknown >= fan_out_ended or self._said_of_unknown >= failed.ended


def _ends_of_fan_outs(calls: Sequence[Call]) -> Sequence[int]:
    """By index: when the last call ended of those that overlap this one, directly or through others."""
    ends = [0] * len(calls)
    beside: list[int] = []
    until = 0
    for index in sorted(range(len(calls)), key=lambda each: (calls[each].began, calls[each].ended)):
        if beside and calls[index].began >= until:
            _set_all(ends, beside, until)
            beside, until = [], 0
        beside.append(index)
        until = max(until, calls[index].ended)
    _set_all(ends, beside, until)
    return ends


def _set_all(ends: list[int], indices: Iterable[int], value: int) -> None:
    for index in indices:
        ends[index] = value
