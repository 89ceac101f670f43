"""One tracer's way out of this process: puts queue, sender and account together, starts the thread, forks, flushes, closes."""

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from agenttracer import _lifecycle
from agenttracer._bell import Bell
from agenttracer._config import Config
from agenttracer._counters import Counters, FlushResult, Stats
from agenttracer._courier import Courier
from agenttracer._draft import Draft
from agenttracer._fit import Fit
from agenttracer._heartbeat import OpenRuns
from agenttracer._ids import new_producer_id
from agenttracer._losses import Losses
from agenttracer._outlet import Nowhere, Outlet
from agenttracer._patience import Patience
from agenttracer._queue import Queue
from agenttracer._sender import Sender
from agenttracer._version import SDK_NAME
from agenttracer.errors import AgentTracerError, UsageError
from agenttracer.wire.envelope import Producer

if TYPE_CHECKING:
    from agenttracer._run import Run
    from agenttracer._transport import Transport

_BEATS_PER_SILENCE: Final = 3
"""Heartbeats in the time after which a run counts as abandoned: two may be lost on the way."""


class Pipeline:
    """Lives as long as the process, or until `shutdown`. In a forked child it starts anew, empty, as another producer."""

    lock: threading.RLock
    counters: Counters
    fit: Fit
    outlet: Outlet

    def __init__(self, config: Config, *, agent_id: str, agent_version: str) -> None:
        self.config = config
        self.strict = config.strict
        self.abandon_after_s = config.abandon_after_s
        self.fingerprint_key = config.fingerprint_key
        self._agent = (agent_id, agent_version)
        self.begin_anew()
        _lifecycle.register(self)

    def begin_anew(self) -> None:
        """Make everything that one process must not share with another: locks, queue, thread, producer id."""
        config = self.config
        self.lock = threading.RLock()
        self.counters = Counters(self.lock)
        self.fit = Fit(self.counters.misfit)
        self._open_runs = OpenRuns(self.lock, interval_s=_heartbeat_interval_s(config))
        self._losses = Losses(self.lock)
        self._patience = Patience(Bell())
        self._thread: threading.Thread | None = None
        self._queue = Queue(
            max_events=config.queue_max_events,
            max_bytes=config.queue_max_bytes,
            wake_at=config.batch_max_events,
            losses=self._losses,
            lock=self.lock,
            bell=self._patience.bell,
            rouse=self._rouse,
        )
        self._sender = self._new_sender(config)
        self.own_outlet: Outlet = Nowhere() if config.disabled else self._queue
        self.outlet = _lifecycle.captured or self.own_outlet

    def _new_sender(self, config: Config) -> Sender:
        agent_id, agent_version = self._agent
        courier = Courier(
            connect=self._connect,
            producer=Producer(
                id=new_producer_id(),
                agent=self.fit.name(agent_id, field="agent_id"),
                agent_version=self.fit.name(agent_version, field="agent_version"),
                sdk=SDK_NAME,
            ),
            queue=self._queue,
            losses=self._losses,
            patience=self._patience,
            counters=self.counters,
        )
        return Sender(
            queue=self._queue,
            losses=self._losses,
            open_runs=self._open_runs,
            courier=courier,
            patience=self._patience,
            counters=self.counters,
            fit=self.fit,
            flush_interval_s=config.flush_interval_s,
            batch_max_events=config.batch_max_events,
        )

    def _connect(self) -> "Transport":
        from agenttracer._transport import Transport  # noqa: PLC0415 - HTTP and TLS load in the sender's thread, not at import

        return Transport(
            api_url=self.config.api_url,
            api_key=self.config.api_key,
            connect_timeout_s=self.config.connect_timeout_s,
            request_timeout_s=self.config.request_timeout_s,
        )

    def _rouse(self) -> None:
        """Start the sender's thread, the first time or after it died."""
        try:
            with self.lock:
                if not self._queue.unattended or self._queue.closed or self._patience.stopping:
                    return
                if self._thread is not None:
                    self.counters.sender_restarted()
                self._thread = threading.Thread(target=self._sender.run, name="agenttracer-sender", daemon=True)
                self._queue.unattended = False
                self._thread.start()
            _lifecycle.watch_process_exit()
        except Exception:  # noqa: BLE001 - no more threads to be had: the next event tries again
            self._queue.unattended = True
            self.counters.internal_error()

    def began(self, run: "Run", draft: Draft) -> None:
        """A run began."""
        self._open_runs.add(run)
        self.outlet.reserved(draft)

    def over(self, run: "Run", draft: Draft) -> None:
        """A run ended."""
        self._open_runs.discard(run)
        self.outlet.reserved(draft)

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Count an error of the SDK's; raise it when strict, unless `quietly`, when the agent's own exception is on its way."""
        if isinstance(error, UsageError):
            self.counters.misuse()
        elif not isinstance(error, AgentTracerError):
            self.counters.internal_error()
        if self.strict and not quietly and isinstance(error, AgentTracerError):
            raise error

    def forked(self) -> None:
        """In a forked child: what is queued is the parent's to send, and open runs of this process are counted from here."""
        open_runs, closed = self._open_runs, self._queue.closed
        self.begin_anew()
        if closed:
            self._queue.close()
        open_runs.renew(self.lock, lambda run: run.counted_anew())

    def stats(self) -> Stats:
        """A consistent moment of all counters."""
        with self.lock:
            return Stats(
                emitted=self._queue.emitted,
                accepted=self._queue.accepted,
                pending=len(self._queue),
                dropped={reason: count for reason, count in self._losses.by_reason.items() if count},
                misfits=dict(self.counters.misfits),
                internal_errors=self.counters.internal_errors,
                misuses=self.counters.misuses,
                sender_restarts=self.counters.sender_restarts,
                unreported_drops=self._losses.unreported,
            )

    def flush(self, timeout_s: float) -> FlushResult:
        """Wait until everything emitted so far is settled, for at most `timeout_s` seconds."""
        position = self._queue.position()
        complete = self._queue.is_past(position) and self._losses.all_told
        if not complete and not self._queue.closed:
            if self._queue.unattended:
                self._rouse()
            complete = self._sender.wait_past(position, timeout_s=timeout_s)
        return self.result(complete=complete)

    def result(self, *, complete: bool) -> FlushResult:
        """The counters as the result of a flush."""
        now = self.stats()
        return FlushResult(complete=complete, accepted=now.accepted, dropped=sum(now.dropped.values()), pending=now.pending)

    def stop_by(self, deadline: float) -> None:
        """Let the sender finish by `deadline` (time.monotonic); `close` waits for it."""
        if self._queue.unattended and len(self._queue):
            self._rouse()
        self._patience.stop_by(deadline)

    def close(self, deadline: float) -> FlushResult:
        """Wait for the sender, give up what is left, and say how much that was, once, on stderr. Idempotent."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
        left = self._queue.close()
        if left and sys.stderr is not None:
            with contextlib.suppress(Exception):  # stderr may be closed, or the agent's own
                sys.stderr.write(
                    f"agenttracer: {left} events of {self._sender.agent} could not be sent before the end and are lost\n"
                )
        return self.result(complete=left == 0)


def _heartbeat_interval_s(config: Config) -> float:
    """Often enough for what `abandon_after_s` promises to the store."""
    promised = config.abandon_after_s
    return config.heartbeat_interval_s if promised is None else min(config.heartbeat_interval_s, promised / _BEATS_PER_SILENCE)
