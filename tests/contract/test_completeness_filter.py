"""Runs found by their completeness are those that are said to be so, on the shipped fake and on real Postgres."""

from itertools import product
from typing import Any, Final

import pytest

from query_service.completeness import CompletenessState, run_completeness
from query_service.store.store import RunOrder, RunSearch
from query_service.testing_rows import NOON, LossSeed, ProducerSeed, Row, RunSeed
from tests.contract.run_readers import EVERY, Reading, run_id

pytestmark = pytest.mark.anyio
_ENDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"ended_at": NOON, "end_status": "success"},
    {"ended_at": NOON, "end_status": "success", "emitted": 2},
    {"ended_at": NOON, "end_status": "success", "emitted": 9, "step_count": 3},
)
_PRODUCERS: Final = (None, ((0, 3),), ((0, 2), (4, 5)))
_EMITTED: Final = (None, 2, 3, 7)


def _rows() -> list[Row]:
    """Every way to end, with no, one or two producers that said their end or did not, and with or without declared losses."""
    rows: list[Row] = []
    for number, (end, seen, emitted, other, lost) in enumerate(
        product(_ENDS, _PRODUCERS, _EMITTED, (False, True), (None, "p1", "p3"))
    ):
        run = {"run_id": run_id(number)}
        rows.append(RunSeed(**run, **end))
        if seen is not None:
            rows.append(ProducerSeed(**run, seen=seen, emitted=emitted))
        if other:
            rows.append(ProducerSeed(**run, producer="p2", seen=((0, 1),), emitted=1))
        if lost is not None:
            rows.append(LossSeed(**run, producer=lost, total=2))
    return rows


async def test_every_way_to_be_incomplete_is_found(reading: Reading) -> None:
    """By pages and in another order."""
    store = await reading(*_rows())
    runs = await store.list_runs("default", EVERY, after=None, limit=1_000)
    said = {run.run_id: run_completeness(run).state for run in runs}
    assert set(said.values()) == set(CompletenessState)
    for state in CompletenessState:
        wanted = {one for one, found in said.items() if found is state}
        search = RunSearch(completeness=state)
        page = await store.scan_runs("default", EVERY, search, after=None, limit=1_000)
        assert {run.run_id for run in page.runs} == wanted, state
        ordered = await store.sort_runs("default", EVERY, search, order=RunOrder.STEPS, after=None, limit=1_000)
        assert {run.run_id for run in ordered} == wanted, state
