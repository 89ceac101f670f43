"""Small limits of the diagnosis, so that short runs already go in circles, are too long, and fail too often."""

import pytest

from stream_workers import diagnosing, postgres, testing
from stream_workers.core import diagnosis, fold, loop, tree, watch

REPEATS_MAX = 6
STEPS_MAX = 16
FAILURES_MAX = 5


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Until `patch` is undone."""
    for module in (loop, watch, diagnosis):
        patch.setattr(module, "REPEATS_MAX", REPEATS_MAX)
    patch.setattr(watch, "_WARM", REPEATS_MAX // 2)
    for each in (tree, watch, diagnosing):
        patch.setattr(each, "STEPS_MAX", STEPS_MAX)
    for one in (diagnosis, diagnosing):
        patch.setattr(one, "FAILURES_MAX", FAILURES_MAX)
    healthy = diagnosis.HEALTHY._replace(watch=watch.Watch(steps=REPEATS_MAX + 1))
    for holder in (diagnosis, fold, postgres, testing):
        patch.setattr(holder, "HEALTHY", healthy)
