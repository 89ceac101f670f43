"""A tracer's pipeline: the recorder that its runs see, on top of the exporter of the present process."""

import threading
from typing import TYPE_CHECKING, Final

from agenttracer._config import Config
from agenttracer._events.pending_event import PendingRunEnd
from agenttracer._events.sanitize import Sanitizer
from agenttracer._events.sink import EventSink, NullSink
from agenttracer._export import process_lifecycle
from agenttracer._export.counters import Counters, FlushResult, Stats
from agenttracer._export.exporter import Exporter
from agenttracer._export.heartbeat import OpenRuns
from agenttracer._export.tail_sampling import TailBudget, TailBuffer, is_sampled
from agenttracer.errors import AgentTracerError, UsageError

if TYPE_CHECKING:
    from agenttracer._tracing.recorder import OpenRun

_BEATS_PER_SILENCE: Final = 3
"""Heartbeats in the time after which a run counts as abandoned: two may be lost on the way."""

_TAIL_SHARE: Final = 4
"""Runs that are not sampled may buffer a quarter of the queue's memory, besides the queue."""


class Pipeline:
    """Lives as long as the process, or until `shutdown`. In a forked child it starts again, empty, as another producer."""

    lock: threading.RLock
    counters: Counters
    sanitizer: Sanitizer
    sink: EventSink
    own_sink: EventSink

    def __init__(self, config: Config, *, agent_id: str, agent_version: str) -> None:
        self.strict = config.strict
        self.abandon_after_s = config.abandon_after_s
        self.fingerprint_key = config.fingerprint_key
        self.read_errors = config.read_errors
        self._config = config
        self._agent_id = agent_id
        self._agent_version = agent_version
        self._reset()
        process_lifecycle.register(self)
        if config.flush_on_sigterm and not config.disabled:
            process_lifecycle.watch_sigterm()

    def _reset(self) -> None:
        """Make everything that two processes must not share: locks, queue, thread, producer id."""
        config = self._config
        self.lock = threading.RLock()
        self.counters = Counters(self.lock)
        self.sanitizer = Sanitizer(self.counters.misfit, name_key=config.name_key)
        self._tail_budget = TailBudget(self.lock, max_bytes=config.queue_max_bytes // _TAIL_SHARE)
        self._open_runs = OpenRuns(interval_s=_heartbeat_interval_s(config))
        self._exporter = Exporter(
            config,
            agent_id=self._agent_id,
            agent_version=self._agent_version,
            lock=self.lock,
            counters=self.counters,
            sanitizer=self.sanitizer,
            open_runs=self._open_runs,
        )
        self.own_sink = NullSink() if config.disabled else self._exporter.queue
        self.sink = process_lifecycle.captured_sink or self.own_sink

    @property
    def exit_timeout_s(self) -> float:
        """The time that `close` may take at the end of the process."""
        return self._config.exit_timeout_s

    def run_started(self, run: "OpenRun") -> None:
        """A run started."""
        rate = self._config.sample_rate
        if rate < 1.0 and not is_sampled(run.run_id, run.origin, rate=rate):
            run.tail_buffer = TailBuffer(self._tail_budget, self.lock)
        self._open_runs.add(run)
        (run.tail_buffer or self.sink).put_control(run)

    def run_ended(self, run: "OpenRun", end: PendingRunEnd) -> None:
        """A run ended."""
        self._open_runs.discard(run)
        if run.tail_buffer is None:
            self.sink.put_control(end)
        elif run.tail_buffer.end(end, self.sink):
            run.tail_buffer = None
        if self._config.flush_on_end and not self._open_runs.any:
            self.flush(self._config.exit_timeout_s)

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Count an error of the SDK; raise it when strict, unless `quietly`, when an exception of the agent is passing."""
        if isinstance(error, UsageError):
            self.counters.misuse()
        elif not isinstance(error, AgentTracerError):
            self.counters.internal_error()
        if self.strict and not quietly and isinstance(error, AgentTracerError):
            raise error

    def reset_after_fork(self) -> None:
        """In a forked child: leave queued events to the parent, and count the open runs of this process from here."""
        open_runs, closed = self._open_runs, self._exporter.queue.closed
        self._exporter.disown_spool()
        self._reset()
        if closed:
            self._exporter.queue.close()
        open_runs.each(self._reset_run)

    def _reset_run(self, run: "OpenRun") -> None:
        run.reset_after_fork()
        if run.tail_buffer is not None:
            run.tail_buffer.abandon()
            run.tail_buffer = TailBuffer(self._tail_budget, self.lock)

    def stats(self) -> Stats:
        """All counters at one moment."""
        with self.lock:
            return self._exporter.stats(sampled_out=self._tail_budget.sampled_out)

    @property
    def problem(self) -> str:
        """Why the last request was not accepted, in words; empty if it was."""
        return self._exporter.problem

    def flush(self, timeout_s: float) -> FlushResult:
        """Wait until everything emitted so far is settled, for at most `timeout_s` seconds."""
        return self.result(complete=self._exporter.flush(timeout_s))

    def result(self, *, complete: bool) -> FlushResult:
        """The counters as the result of a flush."""
        stats = self.stats()
        dropped = sum(stats.dropped.values())
        return FlushResult(complete=complete, accepted=stats.accepted, dropped=dropped, pending=stats.pending)

    def end_open_runs(self) -> None:
        """End the runs that are still open at a normal end of the process."""
        self._open_runs.each(lambda run: run.end_at_exit())

    def stop_by(self, deadline: float) -> None:
        """Let the sender finish by `deadline` (time.monotonic); `close` waits for it."""
        self._exporter.stop_by(deadline)

    def unregister(self) -> None:
        """The tracer was shut down: the end of the process need not flush it."""
        process_lifecycle.unregister(self)

    def close(self, deadline: float) -> FlushResult:
        """Wait for the sender, at most until `deadline`, and take nothing more. Idempotent."""
        return self.result(complete=self._exporter.close(deadline) == 0)


def _heartbeat_interval_s(config: Config) -> float:
    """Often enough for `abandon_after_s`, by which the store finds a silent run abandoned."""
    promised = config.abandon_after_s
    return config.heartbeat_interval_s if promised is None else min(config.heartbeat_interval_s, promised / _BEATS_PER_SILENCE)
