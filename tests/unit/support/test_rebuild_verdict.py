"""What the rebuild drill calls a success."""

from typing import Any

import pytest

from tests.benchmarks.rebuild_drill import verdict

_RIGHT: dict[str, Any] = {
    "exit_code": 0,
    "runs_compared": 9,
    "runs_differing": 0,
    "rows_differing": 0,
    "reader_errors": [],
    "reader_answers": 9,
    "swap_pause_s": 0.2,
    "rows_unlike_the_fold": 0,
    "holes": 0,
    "verify_exit_code": 0,
    "killed_in": ["indexing", "comparing"],
    "last_call_did": ["catching up", "comparing", "swapping"],
    "shadow_kept": True,
}


def _missed(**changed: Any) -> list[str]:
    return [target for target, met in verdict({"speed": {"ratio": 1.6}, "drill": {**_RIGHT, **changed}}).items() if not met]


def test_a_right_drill_misses_nothing() -> None:
    """Every target is judged and met."""
    assert _missed() == []
    assert verdict({"speed": {"ratio": 1.49}}) == {"ratio with the finish at least 1.5": False}
    assert verdict({}) == {}, "what was left out is not judged"


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"runs_differing": 1}, "digests equal"),
        ({"exit_code": 2, "runs_compared": None, "runs_differing": None}, "digests equal"),
        ({"rows_differing": 1}, "diff empty"),
        ({"rows_differing": None}, "diff empty"),
        ({"reader_errors": ["500 /v1/runs"]}, "no reader's error"),
        ({"reader_answers": 0}, "no reader's error"),
        ({"swap_pause_s": 1.0}, "swap pause below 1 s"),
        ({"swap_pause_s": None}, "swap pause below 1 s"),
        ({"rows_unlike_the_fold": 1}, "store is the fold, without a hole"),
        ({"holes": 1}, "store is the fold, without a hole"),
        ({"verify_exit_code": 1}, "verify equal"),
        ({"killed_in": ["catching up", "comparing"]}, "killed in the finish and in the comparison"),
        ({"killed_in": ["indexing", "swapping"]}, "killed in the finish and in the comparison"),
        ({"shadow_kept": False}, "went on after each kill"),
        ({"last_call_did": ["filling", "adding up"]}, "went on after each kill"),
    ],
)
def test_each_broken_target_is_missed_by_its_name(changed: dict[str, Any], missed: str) -> None:
    """And no other one with it."""
    assert _missed(**changed) == [missed]
