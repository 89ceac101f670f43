"""What happens to all pipelines of the process together: fork, exit, SIGTERM, and capture for tests.

SIGTERM ends a process without exit hooks by default, as orchestrators do every day; here it flushes first, then lets it end.
Only where nobody else handles the signal: a program with a handler of its own ends by itself, with its exit hooks, and is
left alone; should it call ours as the one that it found, ours flushes and leaves the ending to it.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from types import FrameType
from typing import TYPE_CHECKING

from agenttracer import _warn

if TYPE_CHECKING:
    from agenttracer._pipeline import Pipeline
    from agenttracer._queue import Outlet

_pipelines: "set[Pipeline]" = set()
"""Those that have to be flushed at the end of the process."""
_known: "weakref.WeakSet[Pipeline]" = weakref.WeakSet()
"""Also those that were shut down: whoever still holds one calls it, in forked children too."""
captured: "Outlet | None" = None
"""Set while `testing.capture_events` is active: every pipeline puts its events there."""
_exit_watched_in: int | None = None


def register(pipeline: "Pipeline") -> None:
    """Include a pipeline in what happens to the process. It is flushed at exit unless `forget` comes first."""
    _pipelines.add(pipeline)
    _known.add(pipeline)


def forget(pipeline: "Pipeline") -> None:
    """The pipeline was shut down."""
    _pipelines.discard(pipeline)


def capture(outlet: "Outlet | None") -> None:
    """Divert the events of all pipelines, also those yet to be made, to `outlet`; None ends it."""
    global captured  # noqa: PLW0603 - the one switch of the process
    captured = outlet
    for pipeline in list(_known):
        pipeline.outlet = outlet or pipeline.own_outlet


def shut_down_all() -> None:
    """Flush and close every pipeline. All share the time that the most patient of them allows."""
    now = time.monotonic()
    deadlines = {pipeline: now + pipeline.config.exit_timeout_s for pipeline in list(_pipelines)}
    for pipeline, deadline in deadlines.items():
        pipeline.stop_by(deadline)
    for pipeline, deadline in deadlines.items():
        with contextlib.suppress(Exception):  # what one cannot do must not keep the others from it
            pipeline.close(deadline)
        forget(pipeline)


def watch_process_exit() -> None:
    """Also flush where a process ends without `atexit`: a child of multiprocessing runs only that module's own finalizers."""
    global _exit_watched_in  # noqa: PLW0603 - once per process
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None or multiprocessing.parent_process() is None or _exit_watched_in == os.getpid():
        return
    _exit_watched_in = os.getpid()
    sys.modules["multiprocessing.util"].Finalize(None, shut_down_all, exitpriority=0)


def watch_sigterm() -> None:
    """Handle SIGTERM from now on, if that is the default's to handle and this is the thread that may change it.

    Not as process 1, as in many containers: there the default is that nothing happens, and the agent goes on.
    """
    if os.getpid() == 1:
        return
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # a subinterpreter's main thread is not the process's
            signal.signal(signal.SIGTERM, _flush_and_end)


def _flush_and_end(number: int, _frame: FrameType | None) -> None:
    chained = signal.getsignal(number) is not _flush_and_end
    try:
        with contextlib.suppress(Exception):  # whatever goes wrong, the signal must do its work
            shut_down_all()
    finally:
        if not chained:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _after_fork_in_child() -> None:
    _warn.forget()
    for pipeline in list(_known):
        pipeline.forked()


atexit.register(shut_down_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
