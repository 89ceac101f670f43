"""Recognising one exception on its way out through nested steps, without keeping it: by identity and by the path it took.

An identity alone is not enough, since a freed exception's address is soon used again; the path is where in the code it was
raised and passed, as numbers. Nothing here refers to an exception, frame or traceback once it returns.
"""

from collections.abc import Iterator
from typing import Final

_DEEPEST: Final = 64
"""Stack entries compared, from where it was raised: deep recursion must not cost the agent."""
_LEAVES: Final = 16
"""Members of an exception group looked at: a task group may hold thousands."""
_REMEMBERED: Final = 256

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
        if len(self._origins) > _REMEMBERED:
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
