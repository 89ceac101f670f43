"""Slices: each record in exactly one, each run whole, samples the same every time."""

import pytest

from stream_workers.operations.verify.scope import RunSelection, run_hash
from stream_workers.operations.verify.slices import Slices


@pytest.mark.parametrize("memory_bytes", [1 << 30, 1 << 14])
def test_every_record_is_in_one_slice_with_all_of_its_run(memory_bytes: int) -> None:
    """With a budget that holds everything, and with one that spills and reads files in parts."""
    slices = Slices(memory_bytes=memory_bytes)
    records = [(number, f"run-{number % 700}", f"value-{number}".encode() * 9) for number in range(5_000)]
    for offset, run_id, value in records:
        slices.add(run_hash("p", run_id), 3, offset, value)
    assert len(slices) > (64 if memory_bytes < 1 << 20 else 0)
    seen: dict[int, bytes] = {}
    runs: list[set[str]] = []
    for part in slices.take():
        found = list(part.records())
        assert all(partition == 3 for partition, _, _ in found)
        assert not seen.keys() & {offset for _, offset, _ in found}
        seen |= {offset: value for _, offset, value in found}
        runs.append({records[offset][1] for _, offset, _ in found})
    assert seen == {offset: value for offset, _, value in records}
    assert sum(map(len, runs)) == 700


def test_a_sample_is_the_same_runs_every_time() -> None:
    """About the share that was asked for, a smaller one within a larger one."""
    names = [f"run-{number}" for number in range(20_000)]

    def chosen(share: float) -> set[str]:
        return {name for name in names if RunSelection(share).has(name, run_hash("p", name))}

    assert len(chosen(0.0)) == 0
    assert 150 < len(chosen(0.01)) < 250
    assert chosen(0.01) < chosen(0.1)
    assert chosen(1.0) == set(names)
    assert [name for name in names if RunSelection(0.0, "run-7").has(name, run_hash("p", name))] == ["run-7"]
