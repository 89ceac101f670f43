"""A part of `make bench-labelled`: some labelled runs of each data set, by every way in."""

from tests.benchmarks.bench_labelled import OWN, measure
from tests.benchmarks.labelled_replay import read_facts

EACH = 5
"""Of the many runs of one agent every so many; of the others all."""


def test_labelled_runs_are_read_as_they_were() -> None:
    """Raised and flagged errors are found, with the right code; nothing is made up, and nothing contradicts itself."""
    labelled = read_facts(OWN / "facts.jsonl")
    runs = [run for number, run in enumerate(labelled) if number % EACH == 0 or not run["set"].startswith("tau")]
    targets = list(measure(runs))
    assert {target.name: target.found for target in targets if target.passed is False} == {}
    assert len(targets) > 20
