"""How long the sender waits: backing off, cut short by a flush or by the end of the process."""

import threading
import time
from typing import TYPE_CHECKING

from agenttracer._clock import now

if TYPE_CHECKING:
    from collections.abc import Callable


class Wakeup:
    """Wakes one waiting thread; setting it twice wakes the waiter once.

    `threading.Event` would deadlock if a signal handler set it while its thread is setting it.
    """

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Let the next or present `wait` return. Never blocks."""
        try:
            if self._unset.locked():
                self._unset.release()
        except RuntimeError:
            return  # another thread set it between the two lines

    def wait(self, timeout_s: float) -> bool:
        """Wait for `set` for at most `timeout_s` seconds; true if it was called."""
        return self._unset.acquire(timeout=max(0.0, timeout_s))


class Waiter:
    """Shared by the sender's thread, which sleeps, and the agent's threads, which end a sleep early or stop the sender."""

    def __init__(
        self, wakeup: Wakeup, *, while_sleeping: "Callable[[], None] | None" = None, while_sleeping_every_s: float = 1.0
    ) -> None:
        self.wakeup = wakeup
        self.listeners: list[Wakeup] = []
        """Of the calls of `flush` that are waiting now: set after every batch."""
        self._while_sleeping = while_sleeping
        """Called during a sleep, at every wakeup and every so many seconds."""
        self._while_sleeping_every_s = while_sleeping_every_s
        self._deadline: float | None = None

    def stop_by(self, deadline: float) -> None:
        """Everything must be over at `deadline`, a reading of time.monotonic. A later call cannot postpone it."""
        left_s = deadline - time.monotonic()  # by the caller's clock
        if self._deadline is None or now() + left_s < self._deadline:
            self._deadline = now() + left_s
        self.wakeup.set()

    @property
    def stopping(self) -> bool:
        """Whether there is a deadline."""
        return self._deadline is not None

    @property
    def hurried(self) -> bool:
        """Whether a flush or the end of the process waits for the queue to be empty."""
        return self.stopping or bool(self.listeners)

    def left_s(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - now())

    def sleep(self, seconds: float, *, skippable: bool) -> bool:
        """Wait. False, at once, if the deadline is earlier. A flush ends a `skippable` sleep early."""
        end = now() + seconds
        while self._deadline is None or end < self._deadline:
            left_s = end - now()
            if left_s <= 0:
                return True
            woken = self.wakeup.wait(left_s if self._while_sleeping is None else min(left_s, self._while_sleeping_every_s))
            if self._while_sleeping is not None:
                self._while_sleeping()
            if woken and skippable and self.hurried:
                return True
        return False
