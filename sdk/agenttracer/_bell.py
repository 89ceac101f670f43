"""Waking a waiting thread, in a way that is safe inside signal handlers and finalizers. Knows nothing of what is waited for."""

import threading


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
