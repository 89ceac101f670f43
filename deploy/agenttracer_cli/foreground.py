"""Runs the pipeline while a command needs it: one command per state directory, stopped in order by a signal."""

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.local.endpoints import PipelineEndpoints, read_endpoints
from agenttracer_cli.local.local_pipeline import LocalPipeline, LocalPipelineSettings, Report
from agenttracer_cli.local.running_services import UP
from agenttracer_cli.local.supervisor import SupervisedProcess, Supervisor
from agenttracer_cli.local_stack.files import open_state_dir
from agenttracer_cli.local_stack.owned_process import OwnedProcess

_POLL_S = 0.2
_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_T = TypeVar("_T")


class AlreadyUpError(Exception):
    """Another command runs the pipeline of this state directory."""


class _StopSignal(BaseException):
    """A signal to stop. Not an Exception, so that no handler takes it for a failure."""


def while_up(
    settings: LocalPipelineSettings, work: Callable[[LocalPipeline, PipelineEndpoints], _T], *, report: Report
) -> _T | None:
    """Bring the whole pipeline up, do the work, stop everything in order, whatever happens.

    A signal to stop ends the work early and gives None. Raises AlreadyUpError if another command has the pipeline up.
    """
    with _exclusively(open_state_dir(settings.state_dir)), _stop_signal_raises():
        pipeline = LocalPipeline(settings, report=report)
        try:
            return work(pipeline, pipeline.start())
        except _StopSignal:
            report("stopping")
            return None
        finally:
            _ignore_stop_signals()
            pipeline.stop()


def keep_alive(pipeline: LocalPipeline, *, report: Report) -> None:
    """Keep every part alive until a signal says to stop."""
    parts: list[SupervisedProcess] = [*pipeline.infrastructure.local_servers, *pipeline.services]
    Supervisor(parts, report=report, restarted=pipeline.publish).run(threading.Event())


def await_other(state_dir: Path) -> PipelineEndpoints:
    """Give the endpoints of the pipeline that another command has up, or is bringing up at this moment.

    Raises NotRunningError when that command ends without having it up.
    """
    other = OwnedProcess(state_dir=open_state_dir(state_dir), name=UP)
    while True:
        try:
            return read_endpoints(state_dir)
        except NotRunningError:
            if other.find() is None:
                raise
        time.sleep(_POLL_S)


@contextmanager
def _exclusively(state_dir: Path) -> Iterator[None]:
    """Hold the state directory's lock, and be found by `down` under the name `up`."""
    myself = OwnedProcess(state_dir=state_dir, name=UP)
    (state_dir / "run").mkdir(exist_ok=True)
    with (state_dir / "run" / "up.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUpError from None
        myself.register_caller()
        try:
            yield
        finally:
            myself.forget()


@contextmanager
def _stop_signal_raises() -> Iterator[None]:
    """Turn the first signal to stop into an exception. Later signals are ignored, so that they do not disturb the stop."""

    def raise_stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_stop_signals()
        raise _StopSignal

    before = {number: signal.signal(number, raise_stop) for number in _STOPPING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_stop_signals() -> None:
    for number in _STOPPING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
