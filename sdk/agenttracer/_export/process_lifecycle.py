"""Fork, exit and signals for all pipelines of the process together, and capture for tests.

SIGTERM by default ends a process without exit hooks, and orchestrators send it every day; here the pipelines flush first, then
the process ends. This is done only if the program has no handler of its own: such a program ends by itself, with its exit
hooks. If a handler that was set later calls ours as the previous one, ours flushes and leaves the ending to it.

Forked children seldom end by `exit`: pools and servers call `os._exit`, which runs no hooks at all. So in a child that has
events `os._exit` flushes first, within the same bound. Neither is done in the process that a person started.
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
from typing import TYPE_CHECKING, Final, Protocol

from agenttracer import _warn

if TYPE_CHECKING:
    from agenttracer._events.sink import EventSink


class ProcessMember(Protocol):
    """The part of a pipeline that is needed here. Hashable by identity."""

    sink: "EventSink"
    own_sink: "EventSink"

    @property
    def exit_timeout_s(self) -> float:
        """The time that it may take at the end of the process."""

    def end_open_runs(self) -> None:
        """The process ends as usual: so do the runs that are still open."""

    def stop_by(self, deadline: float) -> None:
        """Finish by `deadline` (time.monotonic). Does not wait."""

    def close(self, deadline: float) -> object:
        """Wait until it has finished, at most until `deadline`."""

    def reset_after_fork(self) -> None:
        """In a forked child: start again, with nothing of the parent's."""


_members: "set[ProcessMember]" = set()
"""Those that have to be flushed at the end of the process."""
_all_members: "weakref.WeakSet[ProcessMember]" = weakref.WeakSet()
"""Also those that were shut down: the agent may still call them, in forked children too."""
captured_sink: "EventSink | None" = None
"""Set while `testing.capture_events` is active: every pipeline puts its events there."""
_exit_watched_in: int | None = None
_forked = False
"""Whether this process is a child that went on with its parent's modules."""
_sigterm_wanted = False
_exit_at_once: Final = os._exit
_raise_signal: Final = signal.raise_signal


def register(member: ProcessMember) -> None:
    """Add a pipeline. It is flushed at exit unless `unregister` comes first."""
    _members.add(member)
    _all_members.add(member)


def unregister(member: ProcessMember) -> None:
    """The pipeline was shut down."""
    _members.discard(member)


def capture(sink: "EventSink | None") -> None:
    """Divert the events of all pipelines, also those yet to be made, to `sink`; None ends it."""
    global captured_sink  # noqa: PLW0603 - one switch for the process
    captured_sink = sink
    for member in list(_all_members):
        member.sink = sink or member.own_sink


def shut_down_all() -> None:
    """Flush and close every pipeline, side by side: the longest of their timeouts bounds all of them together."""
    now = time.monotonic()
    deadlines = {member: now + member.exit_timeout_s for member in list(_members)}
    for member, deadline in deadlines.items():
        member.stop_by(deadline)
    for member, deadline in deadlines.items():
        with contextlib.suppress(Exception):  # an error of one must not keep the others from closing
            member.close(deadline)
        unregister(member)


def exit_normally() -> None:
    """End the runs that are still open, then flush and close."""
    for member in list(_members):
        with contextlib.suppress(Exception):
            member.end_open_runs()
    shut_down_all()


def watch_process_exit() -> None:
    """Flush at the end of a child too, however that comes. Called when a process has its first event."""
    global _exit_watched_in  # noqa: PLW0603 - once per process
    if _exit_watched_in == os.getpid():
        return
    _exit_watched_in = os.getpid()
    multiprocessing = sys.modules.get("multiprocessing.process")
    is_worker = multiprocessing is not None and multiprocessing.parent_process() is not None
    if is_worker:  # it ends without `atexit` and runs only that module's own finalizers
        sys.modules["multiprocessing.util"].Finalize(None, exit_normally, exitpriority=0)
    if is_worker or _forked or _is_billiards():
        os._exit = _flush_and_exit  # type: ignore[assignment]  # it returns as little as the original
        if _sigterm_wanted:
            watch_sigterm()  # pools set the signal back to its default in their children
    if "uvicorn" in sys.modules:  # ends by the signal that it has handled, raised again with the default action
        signal.raise_signal = _flush_and_raise


def _is_billiards() -> bool:
    """Whether this is a child of Celery's fork of multiprocessing, made by a server process that never imported the SDK."""
    billiard = sys.modules.get("billiard.process")
    return billiard is not None and type(billiard.current_process()).__name__ != "_MainProcess"


def _flush_and_exit(status: int) -> None:
    try:
        with contextlib.suppress(Exception):  # the process must end even so
            shut_down_all()
    finally:
        _exit_at_once(status)


def _flush_and_raise(signalnum: int, /) -> None:
    if signalnum == signal.SIGTERM and signal.getsignal(signalnum) is signal.SIG_DFL:
        with contextlib.suppress(Exception):  # the server has ended as usual by now
            exit_normally()
    _raise_signal(signalnum)


def watch_sigterm() -> None:
    """Handle SIGTERM from now on, if the program has no handler and this thread may set one.

    Not as process 1, as in many containers: there the default action does nothing, and the agent goes on.
    """
    global _sigterm_wanted  # noqa: PLW0603 - once per process
    _sigterm_wanted = True
    if os.getpid() == 1:
        return
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        with contextlib.suppress(ValueError):  # a subinterpreter's main thread is not the process's
            signal.signal(signal.SIGTERM, _flush_and_end)


def _flush_and_end(number: int, _frame: FrameType | None) -> None:
    chained = signal.getsignal(number) is not _flush_and_end
    try:
        with contextlib.suppress(Exception):  # the signal must end the process even so
            shut_down_all()
    finally:
        if not chained:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _after_fork_in_child() -> None:
    global _forked  # noqa: PLW0603 - once per process
    _forked = True
    _warn.reset()
    for member in list(_all_members):
        member.reset_after_fork()


atexit.register(exit_normally)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
