"""A worker that is stopped in the middle of a transaction, outlived by another one, and then goes on with it."""

import os
import signal
from typing import NamedTuple

from agenttracer.wire.envelope import Record
from agenttracer_cli.local.services import Service
from tests.chaos import fleet
from tests.chaos.store_lock import TableLock
from tests.support.pipeline import Pipeline
from tests.support.stacks import until

_METRICS = ("zombie_writes_total", "rows_repeated_total")


class LateWrite(NamedTuple):
    """What became of it: transactions refused, and rows of those that went through, which the store had already."""

    refused: int
    repeated: int


def late_write(pipeline: Pipeline, zombie: Service, successor: Service, records: list[Record]) -> LateWrite:
    """Both are started here. The zombie sleeps until its session is over and the successor has stored all records."""
    with TableLock(pipeline, "runs", database=pipeline.database) as lock:
        zombie.start()
        zombie.wait_ready()
        pipeline.produce(records)
        lock.wait_for_waiting()
        pid = zombie.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    try:
        successor.start()
        pipeline.wait_covered(len(records))
    finally:
        os.kill(pid, signal.SIGCONT)
    found = until(lambda: _found(zombie), timeout_s=60, what="the zombie came to its late write")
    assert zombie.pid == pid, "it lived through it"
    return found


def _found(zombie: Service) -> LateWrite | None:
    said = fleet.metrics(zombie, _METRICS)
    found = LateWrite(*(int(said.get(name, 0)) for name in _METRICS))
    return found if any(found) else None
