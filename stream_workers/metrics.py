"""Every number a worker shows, named in one place."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "agenttracer_worker_"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class WorkerMetrics:
    """A worker's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = self._counter("records_total", "Records read from the topic.")
        self.events = self._counter("events_total", "Events in those records.")
        self.steps_stored = self._counter("steps_stored_total", "Steps that were new to the store.")
        self.failures_stored = self._counter("failures_stored_total", "Failures that were new to the store.")
        self.rows_repeated = self._counter("rows_repeated_total", "Rows that the store had already: redeliveries.")
        self.rows_deleted = self._counter("rows_deleted_total", "Rows left out, because their run or project was deleted.")
        self.runs_time_shifted = self._counter(
            "runs_time_shifted_total", "Runs whose times were moved, because their sender's clock was far off."
        )
        self.dead_letters = self._counter("dead_letters_total", "Records that could not be stored, by reason.", "reason")
        self.projects_parked = self._gauge("projects_parked", "Projects whose records are held back now as dead letters.")
        self.projects_parked_total = self._counter("project_parkings_total", "Projects parked for their dead letters.")
        self.parked = self._gauge("parked", "1 while this worker is parked: alive, reading nothing, waiting for a person.")
        self.unknown_members = self._counter("unknown_members_total", "Members of a newer contract that were ignored.")
        self.retries = self._counter("retries_total", "Transactions tried again, by SQLSTATE or error class.", "reason")
        self.rewinds = self._counter("rewinds_total", "Partitions read again, because offsets were missing.")
        self.zombie_writes = self._counter(
            "zombie_writes_total", "Transactions refused, because another worker has taken one of their partitions since."
        )
        self.transaction_seconds = Histogram(
            PREFIX + "transaction_seconds", "From BEGIN to COMMIT.", registry=self.registry, buckets=_SECONDS
        )
        self.deltas_compacted = self._counter("deltas_compacted_total", "Deltas of statistics that were added to totals.")
        self.deltas_waiting = self._gauge("deltas_waiting", "Deltas of statistics in the store that no worker has compacted yet.")
        self.compaction_seconds = self._counter("compaction_seconds_total", "Time spent compacting statistics.")
        self.compaction_failures = self._counter("compaction_failures_total", "Compactions that failed and are tried again.")
        self.stage_cpu_seconds = self._counter("stage_cpu_seconds_total", "CPU time of decoding and assembling.", "stage")
        self.lag_records = self._gauge("lag_records", "Records in a partition's log that are not stored yet.", "partition")
        self.lag_seconds = self._gauge(
            "lag_seconds", "Age of the oldest record that is not stored yet, by its receipt at the gateway.", "partition"
        )
        self.unread_partitions = self._gauge(
            "unread_partitions",
            "Partitions of which no record was handed over yet: neither lag nor margin can tell how old what waits there is.",
        )
        self.topic_retention_seconds = self._gauge(
            "topic_retention_seconds", "How long the topic keeps records; +Inf where time deletes none, NaN while unknown."
        )
        self.topic_retention_seconds.set(math.nan)
        self.retention_margin_seconds = self._gauge(
            "retention_margin_seconds",
            "Until the topic's retention may delete a record that is not stored yet. Absent where time deletes none.",
            "partition",
        )
        self.retention_alarm = self._gauge(
            "retention_alarm", "1 where that is less than the share of the retention that must be left.", "partition"
        )

    @contextmanager
    def cpu(self, stage: str) -> Iterator[None]:
        """Count this thread's CPU time of the block, which must not await."""
        began = time.thread_time()
        yield
        self.stage_cpu_seconds.labels(stage).inc(time.thread_time() - began)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry)
