"""Ids, times and listings that the tests of store readers share."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from query_service.store.store import RunFilter, StoreReader
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
)

LONG_AGO = NOON - timedelta(days=30)
SECOND = timedelta(seconds=1)
EVERY = RunFilter()
Reading = Callable[..., Awaitable[StoreReader]]


def run_id(number: int) -> UUID:
    return UUID(int=DEFAULT_RUN.int + number)


def step_id(number: int) -> str:
    return f"{number:016x}"


async def listed(store: StoreReader, which: RunFilter = EVERY, *, limit: int = 100) -> list[int]:
    runs = await store.list_runs("default", which, after=None, limit=limit)
    return [run.run_id.int - DEFAULT_RUN.int for run in runs]
