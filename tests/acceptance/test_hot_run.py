"""One run as long as a hundred thousand steps, beside others: nothing is lost, nobody waits, and it costs no more as it grows."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agenttracer.wire.envelope import Record
from agenttracer.wire.topics import record_key
from agenttracer_cli.local.services import Service
from producer_gateway.kafka.partitioner import partition_of
from stream_workers.core.diagnosis import FAILURES_MAX
from stream_workers.core.fold import truncated_runs
from stream_workers.core.step_tree import STEPS_MAX
from tests.support.long_run import RUN, end, records, run_ids, start, steps
from tests.support.pipeline import PARTITIONS, Pipeline, get_json
from tests.support.stacks import until

STEPS = 100_000
FAILING = 5
PARTS = 10
_GROWTH_MAX_BYTES = 64 << 20


def _partition(run_id: str) -> int:
    return partition_of(record_key("default", run_id), PARTITIONS)


def _parts() -> Iterator[list[Record]]:
    """The long run, one event a record, in so many parts."""
    events = [start(), *steps(STEPS, failing=FAILING), end(STEPS)]
    size = len(events) // PARTS + 1
    for first in range(0, len(events), size):
        yield list(records(events[first : first + size], flush=4))


def _other(run_id: str) -> list[Record]:
    """A run of eight steps."""
    return list(records([start(run_id), *steps(8, failing=4, run_id=run_id), end(8, run_id)], flush=5))


def _resident_bytes(worker: Service) -> int:
    lines = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) << 10


def test_a_hot_run_stalls_nobody(pipeline: Pipeline) -> None:
    """While it is written, in 100,002 records, runs behind it on its partition and on others become visible, part after part.

    All of it is stored as the fold has it and said to be truncated, the worker's memory does not grow with it, and the database
    read a small multiple of what was written: no batch reads what the batches before it wrote.
    """
    worker, query = pipeline.worker(), pipeline.query()
    ids = {beside: (one for one in run_ids() if (_partition(one) == _partition(RUN)) is beside) for beside in (True, False)}
    written, resident, reads = 0, [0], [_reads(pipeline)]
    for part in _parts():
        others = [next(ids[True]), next(ids[False])]
        behind = [record for run_id in others for record in _other(run_id)]
        pipeline.produce([*part, *behind])
        written += len(part) + len(behind)
        for run_id in others:
            _wait_visible(query, run_id)
        pipeline.wait_covered(written)
        resident.append(_resident_bytes(worker))
        reads.append(_reads(pipeline))
    found = get_json(f"{query.url}/v1/runs/{RUN}")
    assert (found["step_count"], found["failure_count"], found["truncated"]) == (STEPS, STEPS // FAILING, True)
    assert found["completeness"]["state"] == "complete"
    assert not any(run["truncated"] for run in get_json(f"{query.url}/v1/runs")["runs"] if run["run_id"] != RUN)
    assert max(resident) - resident[PARTS // 5] < _GROWTH_MAX_BYTES
    worker.terminate()
    _assert_little_was_read(pipeline, since=reads[PARTS // 5])
    assert {run_id for _, run_id in truncated_runs(pipeline.assert_store_is_fold())} == {RUN}


def _wait_visible(query: Service, run_id: str) -> None:
    def ended() -> bool:
        runs = get_json(f"{query.url}/v1/runs", agent_id="support", limit=100)["runs"]
        return any(run["run_id"] == run_id and run["status"] == "failure" and run["step_count"] == 8 for run in runs)

    until(ended, timeout_s=60, what="a run behind a part of the long one is visible")


class _Reads(NamedTuple):
    """PostgreSQL's own count of a store's rows that were read, and of runs that were written again."""

    failures: int
    steps: int
    runs_updated: int


def _reads(pipeline: Pipeline) -> _Reads:
    read = "coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
    counted = pipeline.sql(f"""
        SELECT coalesce(sum({read}) FILTER (WHERE relname = 'failures'), 0)::bigint AS failures,
               coalesce(sum({read}) FILTER (WHERE relname LIKE 'steps%'), 0)::bigint AS steps,
               coalesce(sum(n_tup_upd) FILTER (WHERE relname = 'runs'), 0)::bigint AS runs_updated
        FROM pg_stat_user_tables""")
    return _Reads(**dict(counted[0]))


def _assert_little_was_read(pipeline: Pipeline, *, since: _Reads) -> None:
    """Once the worker's session has ended: some rows for each one written, a diagnosis a transaction.

    Did each transaction read what those before it wrote, it would be ten times as much. The first two parts are not counted: the
    first verdicts come while the table is young and has no statistics, and its planner may take any index for them.
    """
    session = "SELECT FROM pg_stat_activity WHERE application_name = 'agenttracer-worker' AND datname = current_database()"
    until(lambda: not pipeline.sql(session), timeout_s=30, what="the worker's session has ended")
    read = _Reads(*(now - then for now, then in zip(_reads(pipeline), since, strict=True)))
    diagnoses = read.runs_updated + PARTS
    assert read.failures <= 3 * STEPS // FAILING + 2 * FAILURES_MAX * diagnoses
    assert read.steps <= STEPS + STEPS_MAX * diagnoses
