"""Small limits of the diagnosis, so that short runs already go in circles, are too long, and fail too often."""

import pytest

from stream_workers import testing
from stream_workers.core import diagnosis, fold, loop_detection, rediagnosis, step_tree
from stream_workers.store import diagnosis_rows, write_rows

IN_A_ROW = 4
STEPS_MAX = 16
FAILURES_MAX = 5


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone."""
    for module in (loop_detection, rediagnosis, diagnosis):
        patch.setattr(module, "IN_A_ROW", IN_A_ROW)
    patch.setattr(rediagnosis, "_WARM", IN_A_ROW // 2)
    for each in (step_tree, rediagnosis, diagnosis_rows):
        patch.setattr(each, "STEPS_MAX", STEPS_MAX)
    for one in (diagnosis, diagnosis_rows):
        patch.setattr(one, "FAILURES_MAX", FAILURES_MAX)
    healthy = diagnosis.HEALTHY._replace(triggers=rediagnosis.RediagnosisTriggers(steps=IN_A_ROW))
    for holder in (diagnosis, fold, write_rows, testing):
        patch.setattr(holder, "HEALTHY", healthy)
