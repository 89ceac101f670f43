"""Waiting for the end: until the ledger covers the topic, or until nothing moves any more."""

import time
from collections.abc import Callable

import asyncpg

from tests.chaos.evidence import ends
from tests.support.pipeline import Pipeline


def wait_settled(
    pipeline: Pipeline, *, database: str, still_s: float, timeout_s: float = 300, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Whether all offsets are covered; False when coverage stood still for `still_s` after it began, or at the deadline."""
    wanted = sum(ends(pipeline).values())
    deadline = moved_at = time.monotonic()
    deadline += timeout_s
    seen = -1
    while time.monotonic() < deadline:
        assert alive(), "the worker has ended"
        covered = covered_now(pipeline, database=database)
        if covered is not None and covered >= wanted:
            return True
        if not covered or covered != seen:  # before the first one a worker may still be starting
            seen, moved_at = covered or 0, time.monotonic()
        if time.monotonic() - moved_at > still_s:
            return False
        time.sleep(0.1)
    return False


def covered_now(pipeline: Pipeline, *, database: str) -> int | None:
    """How many offsets are covered; None while PostgreSQL does not answer."""
    try:
        return pipeline.covered(database=database)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
