"""Few bytes on the wire that become many: a worker's memory is bounded by what it unpacks, not by what was sent."""

import re
import uuid
from pathlib import Path

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import StepFinished
from agenttracer.wire.vocabulary import StepKind, StepStatus
from tests.support.pipeline import Pipeline

RUNS = 12
REPEATS = 40
STEPS = 700
MEMORY_MAX_BYTES = 400 << 20


def _record(run_id: str, received_at: int) -> Record:
    """Some 250 KiB, the largest that the gateway writes."""
    metadata = {f"label_{at}": "x" * 60 for at in range(2)}
    steps = [
        StepFinished(
            run_id=run_id,
            seq=at,
            step_id=f"{at + 1:016x}",
            kind=StepKind.TOOL,
            name="x",
            started_at=1_790_000_000_000_000 + at,
            duration_us=1,
            status=StepStatus.OK,
            metadata=metadata,
        )
        for at in range(STEPS)
    ]
    producer = Producer(id="p", agent="a", agent_version="1")
    return Record(v=VERSION, project="default", producer=producer, received_at=received_at, events=tuple(steps))


def _peak_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def test_what_unpacks_to_a_hundredfold_does_not_fill_a_worker(pipeline: Pipeline) -> None:
    """A hundred megabytes of twelve runs wait when it starts, packed to less than two: 400 MB are enough to read them."""
    run_ids = [str(uuid.UUID(int=number + 1)) for number in range(RUNS)]
    records = [_record(run_id, 1_790_000_000_000_000 + repeat) for repeat in range(REPEATS) for run_id in run_ids]
    pipeline.produce(records)
    worker = pipeline.worker()
    pipeline.wait_covered(len(records), timeout_s=240)
    assert worker.pid is not None
    assert _peak_bytes(worker.pid) <= MEMORY_MAX_BYTES
    assert int(pipeline.sql("SELECT count(*) AS n FROM steps")[0]["n"]) == RUNS * STEPS
