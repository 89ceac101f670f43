"""Telling the agent's developers, once per subject, through the logger `agenttracer`. Never a value that came from the agent."""

import threading

from agenttracer import _loading

_said: set[str] = set()
_lock = threading.RLock()  # a signal's handler may have something to say too


def once(subject: str, text: str) -> None:
    """Log `text` at level WARNING unless something was said of `subject` before. Never raises."""
    with _lock:
        if subject in _said:
            return
        _said.add(subject)
    try:
        _loading.logger().warning("%s", text)
    except Exception:  # noqa: BLE001 - a broken log handler is the agent's, but must not come back through us
        return


def forget() -> None:
    """Say everything again from now on. For tests, and for a forked child, whose copied lock nobody may hold."""
    global _lock  # noqa: PLW0603 - the child's lock could be copied in its locked state
    _lock = threading.RLock()
    _said.clear()
