"""The ring of keys: fresh while the store answers, useful while it does not, and honest when it has nothing."""

import asyncio
from collections.abc import Collection

import pytest
from pydantic import ValidationError

from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from servicekit.auth.key_cache import NOTE_EVERY_S, REFRESH_MAX_S, KeyCache
from servicekit.auth.keys import Scope, id_of
from servicekit.kept_connection import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S
from servicekit.logs import Log
from servicekit.testing import PEPPER, MemoryKeys, cache_of

pytestmark = pytest.mark.anyio
DEADLINE_S = 20.0
REVOKED_WITHIN_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def ring_at(clock: Clock, keys: MemoryKeys, *, stale_max_s: float = 3_600.0) -> KeyCache:
    return KeyCache(keys, peppers=[PEPPER], refresh_s=5, stale_max_s=stale_max_s, log=Log("test"), monotonic=clock)


async def test_what_changes_in_the_store_takes_effect_by_itself(keys: MemoryKeys) -> None:
    """A new key opens and a revoked one does not, without a restart."""
    ring = cache_of(keys)
    await ring.start()
    try:
        text = keys.create(Scope.INGEST)
        async with asyncio.timeout(DEADLINE_S):
            while ring.find(text) is None:  # noqa: ASYNC110 - the ring has no event for it
                await asyncio.sleep(0)
            keys.revoke(text)
            while ring.find(text) is not None:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0)
    finally:
        await ring.close()


def test_a_revoked_key_is_refused_in_time_at_the_worst() -> None:
    """The promise holds though every answer of the store is as late as it may be: the old keys, the note, the new keys."""
    question_s = CONNECT_TIMEOUT_S + STATEMENT_TIMEOUT_S
    assert STATEMENT_TIMEOUT_S + question_s + REFRESH_MAX_S + question_s <= REVOKED_WITHIN_S


@pytest.mark.parametrize("settings", [GatewaySettings, QuerySettings])
def test_no_service_looks_less_often(settings: type[GatewaySettings | QuerySettings]) -> None:
    """The promise cannot be undone by a setting."""
    assert settings(keys_refresh_s=REFRESH_MAX_S).keys_refresh_s == REFRESH_MAX_S
    with pytest.raises(ValidationError):
        settings(keys_refresh_s=REFRESH_MAX_S + 1)


async def test_the_last_snapshot_serves_while_the_store_is_away(keys: MemoryKeys) -> None:
    """For as long as the setting says, and then not at all; when the store is back, so is the ring."""
    clock, text = Clock(), keys.create(Scope.INGEST)
    ring = ring_at(clock, keys, stale_max_s=60)
    await ring.refresh()
    keys.away = True
    clock.now += 60
    await ring.refresh()
    assert ring.find(text) is not None
    assert ring.unready() is None
    clock.now += 1
    assert ring.unready() == "keys_unavailable"
    keys.away = False
    await ring.refresh()
    assert ring.unready() is None


async def test_without_any_snapshot_it_is_not_ready(keys: MemoryKeys) -> None:
    """A process that starts while the store is away starts all the same."""
    ring = ring_at(Clock(), keys)
    keys.away = True
    await ring.start()
    try:
        assert ring.unready() == "keys_unavailable"
    finally:
        await ring.close()


async def test_an_outage_is_one_line_of_the_log(keys: MemoryKeys, caplog: pytest.LogCaptureFixture) -> None:
    """However long it lasts; its end is another."""
    caplog.set_level("INFO")
    ring = ring_at(Clock(), keys)
    for keys.away in (False, True, True, True, False, False):
        await ring.refresh()
    assert [record.message for record in caplog.records] == ["keys_loaded", "key_store_away", "keys_loaded"]


async def test_use_is_noted_once_a_minute_and_key(keys: MemoryKeys) -> None:
    """By id, never for what opened nothing; what could not be noted is noted later."""
    clock, first, second = Clock(), keys.create(Scope.INGEST), keys.create(Scope.INGEST)
    ring = ring_at(clock, keys)
    await ring.refresh()
    for _ in range(3):
        assert ring.find(first) is not None
        ring.find(first[:-1])
        await ring.refresh()
        clock.now += NOTE_EVERY_S / 3 - 1
    assert keys.used == [id_of(first)]
    ring.find(second)
    keys.away = True
    await ring.refresh()
    keys.away = False
    clock.now += NOTE_EVERY_S
    await ring.refresh()
    assert sorted(keys.used) == sorted([id_of(first), id_of(first), id_of(second)], key=str)


async def test_use_is_noted_at_the_end_too(keys: MemoryKeys) -> None:
    """A process that ends between two refreshes leaves its note."""
    text, ring = keys.create(Scope.INGEST), KeyCache(keys, peppers=[PEPPER], refresh_s=60, stale_max_s=60, log=Log("test"))
    await ring.start()
    ring.find(text)
    await ring.close()
    assert keys.used == [id_of(text)]


class NotWritable(MemoryKeys):
    """Keys can be read, and their use cannot be noted."""

    async def note_use(self, key_ids: Collection[str]) -> None:
        raise PermissionError


async def test_a_store_that_takes_no_notes_serves_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """One line says so, and the ring is as fresh as ever."""
    caplog.set_level("INFO")
    keys = NotWritable()
    text, ring = keys.create(Scope.INGEST), ring_at(Clock(), keys)
    for _ in range(3):
        await ring.refresh()
        assert ring.find(text) is not None
    assert [record.message for record in caplog.records] == ["keys_loaded", "key_use_not_noted"]
    assert ring.unready() is None
