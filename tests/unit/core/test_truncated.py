"""Runs with more steps or failures than a diagnosis looks at, at its real limits."""

import random
from collections.abc import Sequence

import pytest

from agenttracer.wire.events import Event
from stream_workers.core.assemble import assemble
from stream_workers.core.diagnosis import FAILURES_MAX, NOT_JUDGED
from stream_workers.core.fold import Tables, fold, truncated_runs
from stream_workers.core.loop_detection import IN_A_ROW
from stream_workers.core.step_tree import STEPS_MAX
from stream_workers.pipeline.decode import canonical_json
from stream_workers.testing import MemoryStore
from tests.support.long_run import AT, RUN, end, recorded, records, step, steps

KEY = ("default", RUN)


def folded(events: Sequence[Event]) -> Tables:
    return fold(records(events, flush=1), canonical_json)


def failing(count: int) -> list[Event]:
    """So many steps that all fail."""
    return list(steps(count, failing=1))


def judged(tables: Tables) -> set[int]:
    """Numbers of the steps whose failures have verdicts."""
    return {int(row.failure_id, 16) for row, verdict in tables.failures.values() if verdict != NOT_JUDGED}


@pytest.mark.parametrize(
    ("events", "truncated"),
    [
        (steps(STEPS_MAX - 1), False),
        (steps(STEPS_MAX), False),
        (steps(STEPS_MAX + 1), True),
        (failing(FAILURES_MAX - 1), False),
        (failing(FAILURES_MAX), False),
        (failing(FAILURES_MAX + 1), True),
        ([*failing(FAILURES_MAX), *(step(900 + n, failed=False, name="again") for n in range(IN_A_ROW))], False),
    ],
    ids=["999 steps", "1000 steps", "1001 steps", "199 failures", "200 failures", "201 failures", "200 failures and a loop"],
)
def test_one_more_than_is_looked_at_makes_a_run_truncated(*, events: Sequence[Event], truncated: bool) -> None:
    """Of steps, or of failures that events said: a loop is found over all steps, and counts apart."""
    tables = folded(events)
    assert (KEY in truncated_runs(tables)) is truncated


@pytest.mark.parametrize("seed", range(3))
def test_a_truncated_run_is_stored_and_counted_whole(seed: int) -> None:
    """All steps and failures are there and counted; those that came first by time are judged, in whatever order they came."""
    events = [*steps(STEPS_MAX + 300, failing=4), end(STEPS_MAX + 300)]
    shuffled = random.Random(seed).sample(events, len(events))
    tables = folded(shuffled)
    assert tables == folded(events)
    _, counts, standing = tables.runs[KEY]
    assert (counts.steps, counts.failures) == (STEPS_MAX + 300, (STEPS_MAX + 300) // 4)
    assert len(tables.steps) == counts.steps
    assert judged(tables) == {4 * number for number in range(1, FAILURES_MAX + 1)}
    assert standing.shape == folded([*steps(STEPS_MAX, failing=4), end(STEPS_MAX)]).runs[KEY][2].shape
    store = MemoryStore()
    for first in range(0, len(shuffled), 100):
        store._write(assemble(records(shuffled[first : first + 100], flush=7), canonical_json))
    assert store.tables() == tables


def test_a_failure_that_is_replaced_by_a_later_one_makes_room() -> None:
    """The first one not judged is judged now: the agent's own word, said for a time after all others, took a place away."""
    events = failing(FAILURES_MAX + 5)
    later = recorded(7, occurred_at=AT + 10**9)
    wanted = folded([*events, later])
    assert judged(wanted) == {*range(1, FAILURES_MAX + 2)} - {7}
    store = MemoryStore()
    store._write(assemble(records(events, flush=50), canonical_json))
    store._write(assemble(records([later], flush=1), canonical_json))
    assert store.tables() == wanted


def test_an_earlier_failure_takes_a_place() -> None:
    """The last one that was judged is not any more."""
    late, early = failing(FAILURES_MAX + 5)[1:], failing(1)
    store = MemoryStore()
    store._write(assemble(records(late, flush=50), canonical_json))
    assert judged(store.tables()) == {*range(2, FAILURES_MAX + 2)}
    store._write(assemble(records(early, flush=1), canonical_json))
    assert judged(store.tables()) == {*range(1, FAILURES_MAX + 1)}
    assert store.tables() == folded([*late, *early])
