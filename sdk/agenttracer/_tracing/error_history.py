"""The errors of one run: how its steps went since the first error, and which way exceptions took. Pure; bounded.

An exception is recognised on its way out through nested steps without being kept: by its identity and by the path it took.
Identity alone is not enough, since the address of a freed exception is soon used again. The path is the places in the code
where it was raised and passed, as numbers. Nothing here refers to an exception, frame or traceback once it returns.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from agenttracer._events.evidence import members
from agenttracer.rules.recovery import Place

_PLACES_MAX: Final = 1_000
"""Places of failed calls kept per run. An agent that makes up a name per call must not grow without limit."""
_FAILED_MAX: Final = 32
"""Failed calls kept per place."""
_ATTEMPT_MAX: Final = 10_000


class Call(NamedTuple):
    """One step, seen as a call that may be an attempt of an earlier one."""

    place: Place
    digest: str | None
    """Of its tool and arguments, where they are known."""
    began_ns: int
    ended_ns: int
    said_attempt: int = 0
    """The attempt that the agent's code said; 0 if it said none."""


class _Failed:
    """A call that failed. `open_until` is when the last call ended that overlapped it, or overlapped one that did, and so on."""

    __slots__ = ("_repaired_surely", "attempt", "call", "open_until", "repaired_by_ns")

    def __init__(self, call: Call, *, attempt: int) -> None:
        self.call = call
        self.attempt = attempt
        self.open_until = call.ended_ns
        self.repaired_by_ns: int | None = None
        """When the call began that repaired it."""
        self._repaired_surely = False
        """It was the same work, or said to be an attempt: overlapping calls are none of its business."""

    def is_followed_by(self, call: Call) -> bool:
        """Whether `call` may be a later attempt of this one: begun after it, and not beside it in one fan-out."""
        if self._is_other_work(call):
            return False
        return call.began_ns >= (self.call.ended_ns if self._is_sure(call) else self.open_until)

    def _is_other_work(self, call: Call) -> bool:
        return None not in {self.call.digest, call.digest} and self.call.digest != call.digest

    def _is_sure(self, call: Call) -> bool:
        return call.said_attempt > 1 or (call.digest is not None and call.digest == self.call.digest)

    def repaired(self, call: Call) -> None:
        """`call` follows it, and ended well."""
        self.repaired_by_ns = call.began_ns
        self._repaired_surely |= self._is_sure(call)

    def widen(self, call: Call) -> None:
        """A call at the same place ended. If it overlaps, what began during it is beside this one, and no attempt of it."""
        if call.began_ns < self.open_until:
            self.open_until = max(self.open_until, call.ended_ns)
            if self.repaired_by_ns is not None and self.repaired_by_ns < self.open_until and not self._repaired_surely:
                self.repaired_by_ns = None


class StepOutcomes:
    """The calls that failed, and whether a later attempt of the same work at the same place ended well.

    `rules.recovery` is the rule. This is it call by call, in the order of their ends and of bounded memory.
    """

    __slots__ = ("_failed", "_overflowed")

    def __init__(self) -> None:
        self._failed: dict[Place, list[_Failed]] = {}
        self._overflowed = False
        """A failed call was forgotten that nothing had repaired: it can no longer be."""

    def attempt_of(self, call: Call) -> int:
        """The one that the agent said, or one more than that of the failed call which `call` follows, or 1."""
        if call.said_attempt:
            return call.said_attempt
        open_ones = [failed for failed in self._failed.get(call.place, ()) if failed.repaired_by_ns is None]
        earlier = [failed.attempt for failed in open_ones if failed.is_followed_by(call)]
        return min(max(earlier, default=0) + 1, _ATTEMPT_MAX)

    def ended(self, call: Call, *, failed: bool) -> int:
        """A call ended, well or not. Returns its attempt."""
        at_place = self._failed.get(call.place)
        attempt = self.attempt_of(call)
        for earlier in at_place or ():
            earlier.widen(call)
            if not failed and call.said_attempt != 1 and earlier.is_followed_by(call):
                earlier.repaired(call)
        if failed:
            self._keep(_Failed(call, attempt=attempt))
        return attempt

    def _keep(self, failed: _Failed) -> None:
        if failed.call.place not in self._failed and len(self._failed) >= _PLACES_MAX:
            forgotten = self._failed.pop(next(iter(self._failed)))
            self._overflowed |= any(each.repaired_by_ns is None for each in forgotten)
        at_place = self._failed.setdefault(failed.call.place, [])
        if len(at_place) >= _FAILED_MAX:
            oldest = at_place.pop(0)  # without a digest, what repairs the later ones would have repaired it too
            self._overflowed |= oldest.repaired_by_ns is None and oldest.call.digest is not None
        at_place.append(failed)

    @property
    def unrepaired(self) -> bool:
        """Whether some call failed and no later attempt of it ended well."""
        return self._overflowed or any(each.repaired_by_ns is None for place in self._failed.values() for each in place)


_FRAMES_MAX: Final = 64
"""Stack entries compared, from the one that raised: deep recursion must not cost the agent."""
_PATHS_MAX: Final = 256

_Path = tuple[tuple[int, int], ...]


class ErrorPaths:
    """The step that an exception came from, seen from the scope one level further out. Bounded; forgets the oldest."""

    __slots__ = ("_origins",)

    def __init__(self) -> None:
        self._origins: dict[tuple[int, int], tuple[_Path, int]] = {}

    def origin(self, error: BaseException, *, scope: int) -> int:
        """The step that raised `error`, if the error came into `scope` out of a nested step; else 0."""
        for candidate in _with_members(error):
            path, origin = self._origins.get((scope, id(candidate)), ((), 0))
            if origin and _path_of(candidate)[-len(path) :] == path:
                return origin
        return 0

    def passed(self, error: BaseException, *, into: int, origin: int) -> None:
        """`error`, raised in the step `origin`, leaves a step into the scope `into` (0: the run's own)."""
        self._origins[into, id(error)] = (_path_of(error), origin)
        if len(self._origins) > _PATHS_MAX:
            del self._origins[next(iter(self._origins))]


def _with_members(error: BaseException) -> Iterator[BaseException]:
    """The exception, and the members of a group: a task group wraps the exceptions of its tasks."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        yield from members(error)


def _path_of(error: BaseException) -> _Path:
    path: list[tuple[int, int]] = []
    traceback = error.__traceback__
    while traceback is not None:
        path.append((id(traceback.tb_frame.f_code), traceback.tb_lasti))
        traceback = traceback.tb_next
    return tuple(path[-_FRAMES_MAX:])


class ErrorHistory:
    """Made at a run's first error: most runs have none, and pay for none."""

    __slots__ = ("paths", "steps")

    def __init__(self) -> None:
        self.steps = StepOutcomes()
        self.paths = ErrorPaths()
