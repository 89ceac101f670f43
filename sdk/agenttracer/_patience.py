"""How long the sender may wait: backing off, hurried by a flush, cut short by the end of the process."""

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

now: Final = partial(time.monotonic)
"""Out of reach of the agent's tests, which may stop its clock."""


class Bell:
    """Rung any number of times, heard once. `threading.Event` would deadlock when a signal handler rings during a ring."""

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Let the next or present `wait` return. Never blocks."""
        try:
            if self._silence.locked():
                self._silence.release()
        except RuntimeError:
            return  # another thread rang between the two lines

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring for at most `timeout_s` seconds; True when there was one."""
        return self._silence.acquire(timeout=max(0.0, timeout_s))


class Patience:
    """Shared by the sender's thread, which naps, and the agent's threads, which hurry or stop it."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self.listeners: list[Bell] = []
        """Of the calls of `flush` that are waiting now: rung after every batch."""
        self.meanwhile: Callable[[], None] | None = None
        """What to do during a nap, at every ring of the bell and every so many seconds."""
        self.meanwhile_every_s = 1.0
        self._deadline: float | None = None

    def stop_by(self, deadline: float) -> None:
        """Everything must be over at `deadline`, a reading of time.monotonic. It is not put off."""
        left_s = deadline - time.monotonic()  # by the caller's clock
        if self._deadline is None or now() + left_s < self._deadline:
            self._deadline = now() + left_s
        self.bell.ring()

    @property
    def stopping(self) -> bool:
        """Whether an end is near."""
        return self._deadline is not None

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for the queue to be empty."""
        return self.stopping or bool(self.listeners)

    def left_s(self) -> float | None:
        """Seconds that are left, None without an end in sight."""
        return None if self._deadline is None else max(0.0, self._deadline - now())

    def nap(self, seconds: float, *, skippable: bool) -> bool:
        """Wait. False, at once, when the time left is shorter. A flush ends a `skippable` nap early."""
        end = now() + seconds
        while self._deadline is None or end < self._deadline:
            left_s = end - now()
            if left_s <= 0:
                return True
            rung = self.bell.wait(left_s if self.meanwhile is None else min(left_s, self.meanwhile_every_s))
            if self.meanwhile is not None:
                self.meanwhile()
            if rung and skippable and self.hurried:
                return True
        return False
