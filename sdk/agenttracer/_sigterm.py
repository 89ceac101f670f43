"""SIGTERM: by default it ends a process without exit hooks, as orchestrators do every day; this flushes first, then lets it end.

Only where nobody else handles the signal. A program with a handler of its own ends by itself, with its exit hooks, and is
left alone; should it call ours as the one that it found, ours flushes and leaves the ending to it.
"""

import contextlib
import os
import signal
import threading
from types import FrameType

from agenttracer import _lifecycle


def watch() -> None:
    """Handle SIGTERM from now on, if that is the default's to handle and this is the thread that may change it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _flush_and_end)


def _flush_and_end(number: int, _frame: FrameType | None) -> None:
    chained = signal.getsignal(number) is not _flush_and_end
    try:
        with contextlib.suppress(Exception):  # whatever goes wrong, the signal must do its work
            _lifecycle.shut_down_all()
    finally:
        if not chained:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
