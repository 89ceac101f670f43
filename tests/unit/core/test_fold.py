"""The fold: any order, duplication and batching of records gives the same tables.

Examples of the properties: 2,000 each, or as many as FOLD_EXAMPLES says (`make properties`).
"""

import itertools
import os
import random
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import RunFinished, StepFinished
from stream_workers.core.assemble import assemble
from stream_workers.core.fold import fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Coverage, Topic, WriteBatch
from stream_workers.testing import MemoryStore
from tests.support.limits import make_small
from tests.support.traffic import Traffic

_TOPIC = Topic("t", uuid.UUID(int=1))
_EXAMPLES = int(os.environ.get("FOLD_EXAMPLES", "2000"))
_ORDERED_MAX = 6


def _open(records: list[Record]) -> list[Record]:
    """Without ends: a run that ended is diagnosed with each event, so that nothing is skipped."""
    kept = [replace(record, events=tuple(e for e in record.events if e.type != RunFinished.type)) for record in records]
    return [record for record in kept if record.events]


def _records(seed: int, *, runs: int = 2, steps: int = 3) -> list[Record]:
    traffic = Traffic(seed)
    made = traffic.runs(runs, steps=steps)
    return traffic.off_clocks(traffic.mischief([*traffic.records(made, flush=3), *traffic.elsewhere(made)]))


@settings(max_examples=_EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), shuffle=st.randoms(use_true_random=False), cuts=st.lists(st.integers(1, 5), max_size=12))
def test_batches_in_any_order_with_repeats_give_the_fold(seed: int, shuffle: random.Random, cuts: list[int]) -> None:
    """Records shuffled, repeated and cut into batches at random end in the tables of the fold."""
    records = _records(seed)
    delivered = [*records, *shuffle.sample(records, len(records) // 2)]
    shuffle.shuffle(delivered)
    store = MemoryStore()
    while delivered:
        size = cuts.pop() if cuts else 3
        batch, delivered = delivered[:size], delivered[size:]
        store._write(assemble(batch, canonical_json))
    assert store.tables() == fold(records, canonical_json)


@settings(max_examples=_EXAMPLES, deadline=None)
@example(seed=77308456, shuffle=random.Random(0), cuts=[])  # a healthy run of more steps than are looked at
@given(seed=st.integers(0, 2**32), shuffle=st.randoms(use_true_random=False), cuts=st.lists(st.integers(1, 5), max_size=12))
def test_diagnoses_at_their_limits_are_those_of_the_fold(seed: int, shuffle: random.Random, cuts: list[int]) -> None:
    """Runs that go in circles, are too long and fail too often: what is skipped between batches never changes a diagnosis."""
    records = _open(_records(seed, runs=1, steps=12)) if seed % 4 else _records(seed, runs=1, steps=12)
    delivered = [*records, *shuffle.sample(records, len(records) // 3)]
    shuffle.shuffle(delivered)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        store = MemoryStore()
        while delivered:
            size = cuts.pop() if cuts else 1
            batch, delivered = delivered[:size], delivered[size:]
            store._write(assemble(batch, canonical_json))
        assert store.tables() == fold(records, canonical_json)


def test_steps_count_by_model_with_tokens_and_cost() -> None:
    """Cost in one currency alone. What is not of the form of a token count adds nothing, and no model is a key, too."""
    traffic = Traffic(5)
    records = traffic.records(traffic.runs(30))
    tables = fold(records, canonical_json)
    wanted: Counter[tuple[str, str]] = Counter()
    for record in records:
        for step in (event for event in record.events if isinstance(event, StepFinished)):
            model = step.metadata.get("model")
            key = model if isinstance(model, str) else ""
            tokens = {name: step.metadata.get(name) for name in ("input_tokens", "output_tokens")}
            wanted.update({(key, name): n for name, n in tokens.items() if isinstance(n, int) and n > 0})
            wanted[key, "cost"] += step.cost.nano if step.cost and step.cost.currency == "USD" else 0
    found: Counter[tuple[str, str]] = Counter()
    for (*_, model), one in tables.step_rollups.items():
        found.update({(model, name): getattr(one, name) for name in ("input_tokens", "output_tokens", "cost")})
    assert {key for key, _ in found} == {"", "gpt-4o"}
    assert +found == +wanted
    assert found["", "cost"] > 0 < found["gpt-4o", "output_tokens"]


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("size", range(1, _ORDERED_MAX + 1))
def test_every_order_gives_the_same_tables(size: int, seed: int) -> None:
    """All orders of up to six records of one run, contradictions among them: one batch, and one record a batch."""
    traffic = Traffic(seed)
    said = traffic.records([list(traffic.run(steps=4))], flush=2)
    records = [*said, *map(_contradicted(traffic), said), *said]
    chosen = traffic.random.sample(records, size)
    expected = fold(chosen, canonical_json)
    for order in itertools.permutations(chosen):
        assert fold(order, canonical_json) == expected
        store = MemoryStore()
        for one in order:
            store._write(assemble([one], canonical_json))
        assert store.tables() == expected


def test_a_repeated_batch_changes_nothing() -> None:
    """Saving a batch twice is saving it once, and the second time nothing counts as new."""
    import asyncio

    records = _records(3)
    batch = WriteBatch(rows=assemble(records, canonical_json), letters=(), coverage=(Coverage(0, 0, len(records)),))
    store = MemoryStore()
    asyncio.run(store.save(_TOPIC, batch))
    before = store.tables()
    again = asyncio.run(store.save(_TOPIC, batch))
    assert (again.new_steps, again.new_failures) == (0, 0)
    assert store.tables() == before


def _contradicted(traffic: Traffic):  # noqa: ANN202 - a test's own closure
    return lambda record: replace(record, events=tuple(map(traffic._contradict, record.events)))
