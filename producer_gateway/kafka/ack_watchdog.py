"""Whether a producer still makes progress: what waits for an acknowledgement, and since when. Pure; times are arguments (s).

Waits begin in the order of their times, so the oldest stands first and is found without a look at the others.

"Silence" is waiting without any acknowledgement. "Age" is the oldest single wait, acknowledgements of others or not: an
idempotent producer can wedge one partition while the others work.
"""


class AckWatchdog:
    """Keeps count for one producer."""

    def __init__(self, *, now: float) -> None:
        self._waiting: dict[object, float] = {}
        self._failing_since: float | None = None
        self._acked_at = now

    def begin(self, token: object, *, since: float) -> None:
        """`token` waits for an outcome. `since` is never before that of an earlier call."""
        self._waiting[token] = since

    def end(self, token: object) -> None:
        """`token` has its outcome, or no longer waits for one."""
        self._waiting.pop(token, None)

    def acked(self, *, now: float) -> None:
        """Something was acknowledged."""
        self._acked_at = now
        self._failing_since = None

    def failed(self, *, since: float) -> None:
        """An append that began at `since` got no acknowledgement. It counts as silence until another one does."""
        if self._failing_since is None:
            self._failing_since = since

    def acked_at(self) -> float:
        """When something was last acknowledged; at first, when counting began."""
        return self._acked_at

    def silence(self, *, now: float) -> float:
        """Seconds without any acknowledgement although one is, or was, waited for."""
        since = self._oldest(now)
        if self._failing_since is not None:
            since = min(since, self._failing_since)
        return max(0.0, now - max(since, self._acked_at))

    def age(self, *, now: float) -> float:
        """Seconds that the oldest wait has lasted."""
        return max(0.0, now - self._oldest(now))

    def _oldest(self, now: float) -> float:
        for since in self._waiting.values():
            return since
        return now
