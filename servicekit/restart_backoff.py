"""When a process that ended is started again: soon, and ever later if it ends again and again. Pure; time is an argument."""

from typing import Final

FIRST_S: Final = 1.0
MOST_S: Final = 30.0
FORGIVEN_AFTER_S: Final = 60.0
"""A process that has run for so long gets the shortest wait again."""


class RestartBackoff:
    """The waits of one process: 1 s, doubled at each end up to 30 s, 1 s again after a quiet minute."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._ended_at: float | None = None

    def ended(self, *, now: float) -> float:
        """Seconds to wait after the process ended at `now` (monotonic, s)."""
        quiet = self._ended_at is None or now - self._ended_at - self._delay_s >= FORGIVEN_AFTER_S
        self._delay_s = FIRST_S if quiet else min(self._delay_s * 2, MOST_S)
        self._ended_at = now
        return self._delay_s
