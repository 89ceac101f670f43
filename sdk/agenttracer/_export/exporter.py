"""The export of one tracer in one process: wires queue, spool, delivery and sender together; starts, flushes and closes them."""

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from agenttracer import _lazy_imports
from agenttracer._clock import now
from agenttracer._config import Config
from agenttracer._events.sanitize import Sanitizer
from agenttracer._export import process_lifecycle
from agenttracer._export.counters import Counters, Stats
from agenttracer._export.delivery import Delivery
from agenttracer._export.drop_reports import DropReports
from agenttracer._export.heartbeat import OpenRuns
from agenttracer._export.queue import Queue
from agenttracer._export.queue_reader import QueueReader
from agenttracer._export.sender import Sender
from agenttracer._export.waiting import Waiter, Wakeup
from agenttracer._ids import new_producer_id
from agenttracer._tracing.untraced import untraced
from agenttracer._version import __version__
from agenttracer.wire.envelope import Producer
from agenttracer.wire.vocabulary import DropReason
from agenttracer.wire.writer import to_json

if TYPE_CHECKING:
    from agenttracer._export.spool_delivery import SpoolDelivery
    from agenttracer._export.transport import Transport
    from agenttracer._spool.spool import Spool

_SPOOL_CLOSE_S: Final = 0.25
"""How long after the deadline of the end the disk may still be written."""


class Exporter:
    """Lives from the tracer's start, or a fork, to the end of the process or `close`. A forked child makes a new one."""

    def __init__(
        self,
        config: Config,
        *,
        agent_id: str,
        agent_version: str,
        lock: threading.RLock,
        counters: Counters,
        sanitizer: Sanitizer,
        open_runs: OpenRuns,
    ) -> None:
        producer_id = new_producer_id()
        self._producer = cache(lambda: _new_producer(producer_id, sanitizer, agent_id=agent_id, agent_version=agent_version))
        encoded_producer = cache(lambda: to_json(self._producer()))  # in the sender's thread: its names are judged there
        wakeup = Wakeup()
        self._config = config
        self._lock = lock
        self._counters = counters
        self._thread: threading.Thread | None = None
        self._drop_reports = DropReports(lock)
        self.queue = self._new_queue(wakeup)
        spool = _new_spool(config, encoded_producer, owner=producer_id)
        self._reader = QueueReader(
            queue=self.queue,
            spool=spool,
            sanitizer=sanitizer,
            counters=counters,
            batch_max_events=config.batch_max_events,
        )
        self._waiter = Waiter(
            wakeup,
            while_sleeping=None if spool is None else self._reader.move_to_spool,
            while_sleeping_every_s=config.flush_interval_s,
        )
        delivery = self._delivery = Delivery(
            connect=self._connect, drop_reports=self._drop_reports, waiter=self._waiter, counters=counters
        )
        self._spool_delivery = None if spool is None else self._new_spool_delivery(spool, delivery, producer=encoded_producer)
        self._sender = Sender(
            queue=self.queue,
            reader=self._reader,
            drop_reports=self._drop_reports,
            open_runs=open_runs,
            delivery=delivery,
            spool_delivery=self._spool_delivery,
            producer=encoded_producer,
            waiter=self._waiter,
            counters=counters,
            flush_interval_s=config.flush_interval_s,
            batch_max_events=config.batch_max_events,
        )

    def _new_queue(self, wakeup: Wakeup) -> Queue:
        config = self._config
        return Queue(
            max_events=config.queue_max_events,
            max_bytes=config.queue_max_bytes,
            wake_at=min(config.batch_max_events, config.queue_max_events // 2),
            drop_reports=self._drop_reports,
            lock=self._lock,
            wakeup=wakeup,
            start_sender=self._start_sender,
        )

    def _new_spool_delivery(self, spool: "Spool", delivery: Delivery, *, producer: Callable[[], bytes]) -> "SpoolDelivery":
        from agenttracer._export.spool_delivery import SpoolDelivery  # noqa: PLC0415 - only with a spool

        return SpoolDelivery(
            spool=spool,
            queue=self.queue,
            delivery=delivery,
            producer=producer,
            batch_max_events=self._config.batch_max_events,
        )

    def _connect(self) -> "Transport":
        with _lazy_imports.IMPORT_LOCK:
            import encodings.idna  # noqa: F401, PLC0415 - the resolver would load it later, without the lock

            from agenttracer._export.transport import Transport  # noqa: PLC0415 - HTTP and TLS, in the sender's thread
        return Transport(
            api_url=self._config.api_url,
            api_key=self._config.sendable_key,
            connect_timeout_s=self._config.connect_timeout_s,
            request_timeout_s=self._config.request_timeout_s,
        )

    def _start_sender(self) -> None:
        """Start the sender's thread, the first time or after it died."""
        try:
            with self._lock:
                if self.queue.closed or self._waiter.stopping or not self.queue.claim_start():
                    return
                thread = threading.Thread(target=self._sender.run, name="agenttracer-sender", daemon=True)
                thread.start()
                if self._thread is not None:
                    self._counters.sender_restarted()
                self._thread = thread
            process_lifecycle.watch_process_exit()
        except Exception:  # noqa: BLE001 - the system gives no more threads: the next event tries again
            self.queue.unattended = True
            self._counters.internal_error()

    @property
    def problem(self) -> str:
        """Why the last request was not accepted, in words; empty if it was."""
        return self._delivery.problem

    def stats(self, *, sampled_out: int) -> Stats:
        """All counters at one moment. `sampled_out` is of the same moment: the caller holds the lock."""
        spool_delivery = self._spool_delivery
        recovered = None if spool_delivery is None else spool_delivery.recovered
        emitted, pending = self.queue.totals()
        return Stats(
            emitted=emitted,
            accepted=self.queue.accepted,
            pending=pending,
            spooled=0
            if spool_delivery is None
            else min(spool_delivery.events, self.queue.in_flight),  # a batch may be half accepted
            dropped={reason: count for reason, count in self._drop_reports.by_reason.items() if count},
            misfits=dict(self._counters.misfits),
            internal_errors=self._counters.internal_errors,
            misuses=self._counters.misuses,
            sender_restarts=self._counters.sender_restarts,
            sampled_out=sampled_out,
            unreported_drops=self._drop_reports.unreported,
            adopted=0 if recovered is None else recovered.accepted,
            adopted_lost=0 if recovered is None else recovered.lost,
            spool_failures=0 if spool_delivery is None else spool_delivery.failures,
            untraced=untraced.calls,
        )

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything emitted so far is settled, for at most `timeout_s` seconds. Whether it is."""
        position = self.queue.position()
        if self.queue.is_past(position) and self._drop_reports.all_reported:
            return True
        if self.queue.closed:
            return False
        if self.queue.unattended:
            self._start_sender()
        return self._sender.wait_past(position, timeout_s=timeout_s)

    def stop_by(self, deadline: float) -> None:
        """Let the sender finish by `deadline` (time.monotonic); `close` waits for it."""
        if self.queue.unattended and len(self.queue):
            self._start_sender()
        self._waiter.stop_by(deadline)

    def close(self, deadline: float) -> int:
        """Wait for the sender, drop or spool what is left, and report that on stderr, once. Idempotent.

        Returns how many events were not sent.
        """
        thread, waiter = self._thread, self._waiter
        waiter.stop_by(deadline)
        if thread is not None and thread is not threading.current_thread():
            if self._spool_delivery is not None:
                thread.join((waiter.left_s() or 0.0) / 4)  # then this thread helps it
                self._move_to_spool(waiter.left_s() or 0.0)
            thread.join(waiter.left_s())
        kept = self._close_spool()
        earlier = {reason: count for reason, count in self._drop_reports.by_reason.items() if count}
        is_first = not self.queue.closed
        left = self.queue.close(kept=kept)
        if left or kept or (earlier and is_first):
            with contextlib.suppress(Exception):  # stderr may be closed, missing, or the agent's own
                sys.stderr.write(f"agenttracer: {_losses(self._producer().agent, left=left, kept=kept, earlier=earlier)}\n")
        return left + kept

    def _close_spool(self) -> int:
        """Write what is left to the spool, if there is one, and close it. Returns how many events it keeps."""
        if self._spool_delivery is None:
            return 0
        self._move_to_spool(max(_SPOOL_CLOSE_S, self._waiter.left_s() or 0.0))
        return min(self._spool_delivery.close(now() + _SPOOL_CLOSE_S), self.queue.in_flight)  # a batch may be half accepted

    def _move_to_spool(self, within_s: float) -> None:
        try:
            if not self.queue.closed:
                self._reader.move_to_spool(now() + within_s)
        except Exception:  # noqa: BLE001 - telemetry never harms the agent, not at its end either
            self._counters.internal_error()

    def disown_spool(self) -> None:
        """In a forked child: leave the spool to the parent."""
        if self._spool_delivery is not None:
            self._spool_delivery.disown()


def _losses(agent: str, *, left: int, kept: int, earlier: Mapping[DropReason, int]) -> str:
    """What the end of a process says of the events that were not accepted, all of them."""
    said: list[str] = []
    if left or kept:
        lost = " and are lost" if left and not kept else f"; {kept} of them wait in the spool"
        said.append(f"{left + kept} events of {agent} could not be sent before the end{lost}")
    if earlier:
        reasons = ", ".join(f"{reason} {count}" for reason, count in earlier.items())
        said.append(f"{sum(earlier.values())} events of {agent} were dropped before ({reasons})")
    return "; ".join(said)


def _new_producer(producer_id: str, sanitizer: Sanitizer, *, agent_id: str, agent_version: str) -> Producer:
    return Producer(
        id=producer_id,
        agent=sanitizer.name(agent_id, field="agent_id"),
        agent_version=sanitizer.name(agent_version, field="agent_version"),
        sdk=f"python/{__version__}",
    )


def _new_spool(config: Config, producer: Callable[[], bytes], *, owner: str) -> "Spool | None":
    if config.spool_dir is None or config.disabled:
        return None
    from agenttracer._spool.directory import SpoolDirectory, recipient_digest  # noqa: PLC0415 - only with a spool
    from agenttracer._spool.spool import Spool  # noqa: PLC0415 - likewise

    def recipient() -> str:
        return recipient_digest(config.api_url, config.api_key)

    directory = SpoolDirectory(config.spool_dir, max_bytes=config.spool_max_bytes, recipient=recipient, owner=owner)
    return Spool(directory, producer=producer)
