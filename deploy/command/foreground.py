"""Runs the pipeline for as long as a command wants it: one command per state directory, stopped in order by any signal."""

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from deploy.endpoints import PipelineEndpoints, read_endpoints
from deploy.errors import NotRunningError
from deploy.local_stack.files import open_state_dir
from deploy.local_stack.owned_process import OwnedProcess
from deploy.pipeline import Pipeline, PipelineSettings, Report
from deploy.roster import UP
from deploy.supervisor import Part, Supervisor

_POLL_S = 0.2
_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_T = TypeVar("_T")


class AlreadyUpError(Exception):
    """Another command runs the pipeline of this state directory."""


class _Told(BaseException):
    """A signal says to stop; not an Exception, so that nothing on the way takes it for a failure."""


def while_up(settings: PipelineSettings, work: Callable[[Pipeline, PipelineEndpoints], _T], *, report: Report) -> _T | None:
    """Bring the whole pipeline up, do the work, stop everything in order, whatever happens.

    A signal to stop ends the work early and gives None. Raises AlreadyUpError if another command has the pipeline up.
    """
    with _alone(open_state_dir(settings.state_dir)), _told_once():
        pipeline = Pipeline(settings, report=report)
        try:
            return work(pipeline, pipeline.start())
        except _Told:
            report("stopping")
            return None
        finally:
            _listen_no_more()
            pipeline.stop()


def keep_alive(pipeline: Pipeline, *, report: Report) -> None:
    """Keep every part alive until a signal says to stop."""
    parts: list[Part] = [*pipeline.infrastructure.local_servers, *pipeline.services]
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
def _alone(state_dir: Path) -> Iterator[None]:
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
def _told_once() -> Iterator[None]:
    """Turn the first signal to stop into an exception; later ones do not disturb the stopping that it began."""

    def tell(_number: int, _frame: FrameType | None) -> None:
        _listen_no_more()
        raise _Told

    before = {number: signal.signal(number, tell) for number in _STOPPING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen_no_more() -> None:
    for number in _STOPPING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
