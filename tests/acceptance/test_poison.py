"""A topic that brings poison without end: the worker stops before it buries it all and stays stopped; nothing is lost by that."""

import time

from agenttracer.wire.topics import record_key
from deploy.services import Service
from deploy.supervisor import Supervisor
from stream_workers.ending import EXIT_POISON
from tests.support.pipeline import Pipeline
from tests.support.stacks import until
from tests.support.traffic import Traffic

POISON = 250
LIMIT = 100


def _ended(worker: Service) -> None:
    until(lambda: worker.pid is None, timeout_s=60, what="the worker ended", every_s=0.2)
    assert worker.exit_code == EXIT_POISON
    assert '"poison_brake"' in worker.log_tail()


def _letters(pipeline: Pipeline) -> int:
    return int(pipeline.sql("SELECT count(*) AS n FROM dead_letters")[0]["n"])


def test_poison_in_a_row_stops_the_worker_and_loses_nothing(pipeline: Pipeline) -> None:
    """250 records that nobody can read, good ones behind them: exit 65 before the hundredth is buried, and no restart.

    Started by hand it ends again. Told to bury them, it stores all that lies behind.
    """
    traffic = Traffic(95)
    before, behind = traffic.records(traffic.runs(30)), traffic.records(traffic.runs(30))
    worker = pipeline.worker()
    pipeline.produce(before)
    pipeline.wait_covered(len(before))
    key = record_key(behind[0].project, behind[0].events[0].run_id)  # so that good records lie behind it in its partition
    pipeline.produce_raw([(key, b"canary{")] * POISON)
    pipeline.produce(behind)
    _ended(worker)
    assert _letters(pipeline) < LIMIT
    said: list[str] = []
    supervisor = Supervisor([worker], report=said.append, restarted=lambda: None)
    for ahead_s in range(0, 120, 10):
        supervisor.look(now=time.monotonic() + ahead_s)
    assert worker.pid is None
    assert "stays down" in said[-1]
    buried = _letters(pipeline)
    again = pipeline.worker(wait=False)
    _ended(again)
    assert _letters(pipeline) < buried + LIMIT
    pipeline.worker(AGENTTRACER_WORKER_DEAD_LETTER_MAX_IN_A_ROW="1000", AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE="1")
    pipeline.wait_covered(len(before) + POISON + len(behind))
    assert _letters(pipeline) == POISON
    pipeline.assert_store_is_fold()
