"""One tracer's way out of this process: puts queue, sender and account together, starts the thread, forks, flushes, closes."""

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Final

from agenttracer import __version__, _lifecycle, _loading
from agenttracer._config import Config
from agenttracer._counters import Counters, FlushResult, Stats
from agenttracer._courier import Courier
from agenttracer._draft import RunEndDraft
from agenttracer._fit import Fit
from agenttracer._heartbeat import OpenRuns
from agenttracer._ids import new_producer_id
from agenttracer._losses import Losses
from agenttracer._patience import Bell, Patience, now
from agenttracer._queue import Nowhere, Outlet, Queue
from agenttracer._sampling import Allowance, Holdback, is_told
from agenttracer._sender import Sender
from agenttracer.errors import AgentTracerError, UsageError
from agenttracer.wire.envelope import Producer
from agenttracer.wire.writer import to_json

if TYPE_CHECKING:
    from agenttracer._handover import Handover
    from agenttracer._run import Run
    from agenttracer._transport import Transport

_BEATS_PER_SILENCE: Final = 3
"""Heartbeats in the time after which a run counts as abandoned: two may be lost on the way."""

_KEEP_S: Final = 0.25
"""How long after the time for the end the disk may still be written."""

_HELD_SHARE: Final = 4
"""Of the queue's memory, what may be held back besides for runs that are not sampled: a quarter."""


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
        if config.flush_on_sigterm and not config.disabled:
            _lifecycle.watch_sigterm()

    def begin_anew(self) -> None:
        """Make everything that one process must not share with another: locks, queue, thread, producer id."""
        config = self.config
        self.lock = threading.RLock()
        self.counters = Counters(self.lock)
        self.fit = Fit(self.counters.misfit)
        self._allowance = Allowance(self.lock, max_bytes=config.queue_max_bytes // _HELD_SHARE)
        self._open_runs = OpenRuns(interval_s=_heartbeat_interval_s(config))
        self._losses = Losses(self.lock)
        self._patience = Patience(Bell())
        self._thread: threading.Thread | None = None
        self._queue = Queue(
            max_events=config.queue_max_events,
            max_bytes=config.queue_max_bytes,
            wake_at=min(config.batch_max_events, config.queue_max_events // 2),
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
        producer = Producer(
            id=new_producer_id(),
            agent=self.fit.name(agent_id, field="agent_id"),
            agent_version=self.fit.name(agent_version, field="agent_version"),
            sdk=f"python/{__version__}",
        )
        courier = Courier(connect=self._connect, losses=self._losses, patience=self._patience, counters=self.counters)
        self.agent = producer.agent
        self._handover = self._new_handover(producer, courier)
        return Sender(
            queue=self._queue,
            losses=self._losses,
            open_runs=self._open_runs,
            courier=courier,
            handover=self._handover,
            producer=to_json(producer),
            patience=self._patience,
            counters=self.counters,
            fit=self.fit,
            flush_interval_s=config.flush_interval_s,
            batch_max_events=config.batch_max_events,
        )

    def _new_handover(self, producer: Producer, courier: Courier) -> "Handover | None":
        config = self.config
        if config.spool_dir is None or config.disabled:
            return None
        from agenttracer._handover import Handover  # noqa: PLC0415 - only who spools pays for it
        from agenttracer._spool import Spool  # noqa: PLC0415 - likewise

        head = to_json(producer)
        return Handover(
            spool=Spool(config.spool_dir, max_bytes=config.spool_max_bytes, producer=head, name=producer.id),
            queue=self._queue,
            courier=courier,
            producer=head,
            batch_max_events=config.batch_max_events,
        )

    def _connect(self) -> "Transport":
        return _loading.transport()(
            api_url=self.config.api_url,
            api_key=self.config.api_key,
            connect_timeout_s=self.config.connect_timeout_s,
            request_timeout_s=self.config.request_timeout_s,
        )

    def _rouse(self) -> None:
        """Start the sender's thread, the first time or after it died."""
        try:
            with self.lock:
                if self._queue.closed or self._patience.stopping or not self._queue.claim():
                    return
                thread = threading.Thread(target=self._sender.run, name="agenttracer-sender", daemon=True)
                thread.start()
                if self._thread is not None:
                    self.counters.sender_restarted()
                self._thread = thread
            _lifecycle.watch_process_exit()
        except Exception:  # noqa: BLE001 - no more threads to be had: the next event tries again
            self._queue.unattended = True
            self.counters.internal_error()

    def began(self, run: "Run") -> None:
        """A run began."""
        if self.config.sample_rate < 1.0 and not is_told(run, rate=self.config.sample_rate):
            run.held = self.holdback()
        self._open_runs.add(run)
        run.outlet.reserved(run)

    def holdback(self) -> Holdback:
        """Where a run that is not sampled puts its events."""
        return Holdback(self._allowance, self.lock)

    def over(self, run: "Run", end: RunEndDraft) -> None:
        """A run ended."""
        self._open_runs.discard(run)
        if run.held is None:
            self.outlet.reserved(end)
        elif run.held.end(end, self.outlet):
            run.held = None

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
        if self._handover is not None:
            self._handover.spool.disown()
        self.begin_anew()
        if closed:
            self._queue.close()
        open_runs.each(lambda run: run.counted_anew())

    def stats(self) -> Stats:
        """A consistent moment of all counters."""
        handover = self._handover
        with self.lock:
            emitted, pending = self._queue.account()
            return Stats(
                emitted=emitted,
                accepted=self._queue.accepted,
                pending=pending,
                spooled=0
                if handover is None
                else min(handover.spool.events, self._queue.in_flight),  # a lot may be half accepted
                dropped={reason: count for reason, count in self._losses.by_reason.items() if count},
                misfits=dict(self.counters.misfits),
                internal_errors=self.counters.internal_errors,
                misuses=self.counters.misuses,
                sender_restarts=self.counters.sender_restarts,
                sampled_out=self._allowance.sampled_out,
                unreported_drops=self._losses.unreported,
                adopted=0 if handover is None else handover.legacy.accepted,
                adopted_lost=0 if handover is None else handover.legacy.lost,
                spool_failures=0 if handover is None else handover.spool.failures,
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

    def leave_process(self) -> None:
        """It was shut down: the end of the process has nothing to do for it any more."""
        _lifecycle.forget(self)

    def close(self, deadline: float) -> FlushResult:
        """Wait for the sender, give up what is left, and say how much that was, once, on stderr. Idempotent."""
        thread, patience = self._thread, self._patience
        patience.stop_by(deadline)
        if thread is not None and thread is not threading.current_thread():
            if self._handover is not None:
                thread.join((patience.left_s() or 0.0) / 4)  # then this one helps
                self._spill(patience.left_s() or 0.0)
            thread.join(patience.left_s())
        kept = self._keep()
        left = self._queue.close(kept=kept)
        if left or kept:
            lost = " and are lost" if left and not kept else f"; {kept} of them wait in the spool"
            with contextlib.suppress(Exception):  # stderr may be closed, missing, or the agent's own
                sys.stderr.write(f"agenttracer: {left + kept} events of {self.agent} could not be sent before the end{lost}\n")
        return self.result(complete=left + kept == 0)

    def _keep(self) -> int:
        """Write what is left to the spool, if there is one, and close that. How many events it keeps for a later process."""
        if self._handover is None:
            return 0
        self._spill(max(_KEEP_S, self._patience.left_s() or 0.0))
        return min(self._handover.spool.close(now() + _KEEP_S), self._queue.in_flight)  # a lot may be half accepted

    def _spill(self, within_s: float) -> None:
        try:
            if not self._queue.closed:
                self._sender.spill(now() + within_s)
        except Exception:  # noqa: BLE001 - telemetry never harms the agent, not at its end either
            self.counters.internal_error()


def _heartbeat_interval_s(config: Config) -> float:
    """Often enough for what `abandon_after_s` promises to the store."""
    promised = config.abandon_after_s
    return config.heartbeat_interval_s if promised is None else min(config.heartbeat_interval_s, promised / _BEATS_PER_SILENCE)
