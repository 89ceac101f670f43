"""How a run's steps went so far: which attempt the next step is, and whether an error is still unrepaired. Pure; bounded."""

from typing import Final

from agenttracer.wire.vocabulary import StepKind

_REMEMBERED: Final = 1_000
"""Different failing steps remembered per run. An agent that makes up a name per call must not grow without limit."""
_ATTEMPT_MAX: Final = 10_000

_StepName = tuple[StepKind, str]


class Outcomes:
    """What has to be remembered of errored steps. Empty as long as nothing failed, which is what `clean` says."""

    __slots__ = ("_attempts", "_overflowed", "_unrepaired", "clean")

    def __init__(self) -> None:
        self._attempts: dict[tuple[int, StepKind, str], int] = {}
        self._unrepaired: dict[_StepName, None] = {}
        self._overflowed = False
        self.clean = True

    def next_attempt(self, *, parent: int, kind: StepKind, name: str) -> int:
        """1, or one more than the attempt of the same step under the same parent when that one ended in an error."""
        return min(self._attempts.get((parent, kind, name), 0) + 1, _ATTEMPT_MAX)

    def errored(self, *, parent: int, kind: StepKind, name: str, attempt: int) -> None:
        """A step ended in an error."""
        self.clean = False
        self._attempts[parent, kind, name] = attempt
        self._unrepaired[kind, name] = None
        if len(self._attempts) > _REMEMBERED:
            del self._attempts[next(iter(self._attempts))]
        if len(self._unrepaired) > _REMEMBERED:
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
