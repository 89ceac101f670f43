"""What a run remembers of its errors: how its steps went since the first one, and which way exceptions took. Pure; bounded.

An exception is recognised on its way out through nested steps without being kept: by its identity and by the path it took.
An identity alone is not enough, since a freed exception's address is soon used again; the path is where in the code it was
raised and passed, as numbers. Nothing here refers to an exception, frame or traceback once it returns.
"""

from collections.abc import Iterator
from typing import Final

from agenttracer.wire.vocabulary import StepKind

_STEPS_REMEMBERED: Final = 1_000
"""Different failing steps remembered per run. An agent that makes up a name per call must not grow without limit."""
_ATTEMPT_MAX: Final = 10_000

_StepName = tuple[StepKind, str]


class Outcomes:
    """What has to be remembered of errored steps."""

    __slots__ = ("_attempts", "_overflowed", "_unrepaired")

    def __init__(self) -> None:
        self._attempts: dict[tuple[int, StepKind, str], int] = {}
        self._unrepaired: dict[_StepName, None] = {}
        self._overflowed = False

    def next_attempt(self, *, parent: int, kind: StepKind, name: str) -> int:
        """1, or one more than the attempt of the same step under the same parent when that one ended in an error."""
        return min(self._attempts.get((parent, kind, name), 0) + 1, _ATTEMPT_MAX)

    def errored(self, *, parent: int, kind: StepKind, name: str, attempt: int) -> None:
        """A step ended in an error."""
        self._attempts[parent, kind, name] = attempt
        self._unrepaired[kind, name] = None
        if len(self._attempts) > _STEPS_REMEMBERED:
            del self._attempts[next(iter(self._attempts))]
        if len(self._unrepaired) > _STEPS_REMEMBERED:
            del self._unrepaired[next(iter(self._unrepaired))]
            self._overflowed = True  # forgotten, so it can no longer be repaired

    def succeeded(self, *, parent: int, kind: StepKind, name: str) -> None:
        """A step ended well: whatever failed before under its name is repaired."""
        self._attempts.pop((parent, kind, name), None)
        self._unrepaired.pop((kind, name), None)

    @property
    def unrepaired(self) -> bool:
        """Whether some step errored and no later one of the same kind and name ended well."""
        return self._overflowed or bool(self._unrepaired)


_DEEPEST: Final = 64
"""Stack entries compared, from where it was raised: deep recursion must not cost the agent."""
_LEAVES: Final = 16
"""Members of an exception group looked at: a task group may hold thousands."""
_PASSAGES_REMEMBERED: Final = 256

_Path = tuple[tuple[int, int], ...]


class Passages:
    """Which errored step an exception came from, asked one level further out. Bounded; forgets the oldest."""

    __slots__ = ("_origins",)

    def __init__(self) -> None:
        self._origins: dict[tuple[int, int], tuple[_Path, int]] = {}

    def origin(self, error: BaseException, *, scope: int) -> int:
        """The step in which `error` arose, if it came into `scope` out of a nested step; else 0."""
        for face in _faces(error):
            path, origin = self._origins.get((scope, id(face)), ((), 0))
            if origin and _path_of(face)[-len(path) :] == path:
                return origin
        return 0

    def passed(self, error: BaseException, *, into: int, origin: int) -> None:
        """`error`, which arose in the step `origin`, leaves a step into the scope `into` (0: the run's own)."""
        self._origins[into, id(error)] = (_path_of(error), origin)
        if len(self._origins) > _PASSAGES_REMEMBERED:
            del self._origins[next(iter(self._origins))]


def _faces(error: BaseException) -> Iterator[BaseException]:
    """The exception, and the members of a group: a task group wraps what its tasks raised."""
    yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    yield from members[:_LEAVES]


def _path_of(error: BaseException) -> _Path:
    path: list[tuple[int, int]] = []
    traceback = error.__traceback__
    while traceback is not None:
        path.append((id(traceback.tb_frame.f_code), traceback.tb_lasti))
        traceback = traceback.tb_next
    return tuple(path[-_DEEPEST:])


class Memory:
    """Made at a run's first error: most runs have none, and pay for none."""

    __slots__ = ("outcomes", "passages")

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        self.passages = Passages()
