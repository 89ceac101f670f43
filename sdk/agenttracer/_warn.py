"""Warnings to the agent's developers, once per subject, through the logger `agenttracer`. They hold no value of the agent's."""

import threading

from agenttracer import _lazy_imports

_warned: set[str] = set()
_lock = threading.RLock()  # reentrant: a signal handler may warn while its thread does


def once(subject: str, text: str) -> None:
    """Log `text` at level WARNING unless there was a warning about `subject` before. Never raises."""
    with _lock:
        if subject in _warned:
            return
        _warned.add(subject)
    try:
        _lazy_imports.logger().warning("%s", text)
    except Exception:  # noqa: BLE001 - a broken log handler is the agent's, but its error must not come back through us
        return


def reset() -> None:
    """Allow every warning again. For tests, and for a forked child, where the copied lock may be held by no thread."""
    global _lock  # noqa: PLW0603 - the child's lock could be copied in its locked state
    _lock = threading.RLock()
    _warned.clear()
