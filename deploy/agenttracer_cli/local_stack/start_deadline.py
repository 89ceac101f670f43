"""How long to wait for a process to get ready: as long as it makes progress, up to a limit that the user can set.

A fixed time is wrong on a busy machine, where a start that takes seconds elsewhere takes minutes. Progress is time in which the
process ran or waited for a processor, or output in its log. Pure, except for the variable that is read from the environment.
"""

import os
from dataclasses import dataclass
from typing import Final

from agenttracer_cli.errors import SettingsError, StartError

START_LIMIT_VARIABLE: Final = "AGENTTRACER_START_LIMIT_S"
_LIMIT_DEFAULT_S: Final = 600
_LIMIT_MAX_S: Final = 86_400
QUIET_S: Final = 60.0
"""Without progress for this long, a process is not going to get ready."""
_BUSY_SHARE: Final = 0.05
"""The share of the quiet time that a starting process needs to be busy. An idle JVM or a retry loop stays below it."""


@dataclass(frozen=True)
class Activity:
    """Work that a process has done so far."""

    busy_s: float
    """Time in which its threads ran or waited for a processor."""
    log_bytes: int = 0


class StartDeadline:
    """Says when to stop waiting for one process. Times are seconds of one monotonic clock."""

    def __init__(self, *, now: float, quiet_s: float = QUIET_S, limit_s: float | None = None) -> None:
        self._limit_s = start_limit_s() if limit_s is None else limit_s
        # A user who raises the limit also gets a longer time without progress.
        self._quiet_s = quiet_s * max(1.0, self._limit_s / _LIMIT_DEFAULT_S)
        self._began = self._progress_at = now
        self._last = Activity(0.0)

    def exceeded(self, activity: Activity, *, now: float) -> str | None:
        """Why the wait is over, as the end of a sentence; None while it is not."""
        if activity.log_bytes != self._last.log_bytes or activity.busy_s - self._last.busy_s >= self._quiet_s * _BUSY_SHARE:
            self._last, self._progress_at = activity, now
        if now - self._began >= self._limit_s:
            return f"was not ready after {self._limit_s:g} s; {_HINT}"
        if now - self._progress_at >= self._quiet_s:
            return f"made no progress for {self._quiet_s:g} s; {_HINT}"
        return None


_HINT: Final = f"set {START_LIMIT_VARIABLE} (seconds, default {_LIMIT_DEFAULT_S}) to wait longer"


def too_slow(work: str) -> StartError:
    """The error for work that took longer than a start may."""
    return StartError(f"{work} took longer than {start_limit_s()} s; {_HINT}")


def start_limit_s() -> int:
    """The longest time that a start may take. Raises SettingsError."""
    text = os.environ.get(START_LIMIT_VARIABLE, "")
    if not text:
        return _LIMIT_DEFAULT_S
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LIMIT_MAX_S)) and 1 <= int(text) <= _LIMIT_MAX_S):
        raise SettingsError(f"{START_LIMIT_VARIABLE} must be a whole number of seconds from 1 to {_LIMIT_MAX_S}")
    return int(text)
