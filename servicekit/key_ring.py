"""All live keys held in memory and kept fresh, so that no request waits for the store. Where they come from is a Protocol here.

When the store is away the last snapshot goes on serving, up to a limit, so that telemetry is not lost with it. The price: where
this process alone cannot reach the store, a key that is revoked meanwhile serves on too. `age_s` shows it; somebody must look.
Without any snapshot nobody can be told from anybody, and the answer is: not now.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from servicekit.keys import Caller, Pepper, StoredKey, recognise
from servicekit.logs import Log, error_class

REFRESH_MAX_S: Final = 10.0
"""The longest pause between two looks at the store with which a revoked key is refused within 30 s. The worst that a store can do
which answers at all: it gives the old keys, late (5 s); it notes the use of keys, late (2 s to connect and 5 s); then this
pause; then it gives the new keys, late again (2 and 5 s)."""
NOTE_EVERY_S: Final = 60.0
"""The grain of `last_used_at`: enough to see which of two keys is still in use, and a write a minute and key at most."""

_AWAY: Final = "key_store_away"
_NOT_NOTED: Final = "key_use_not_noted"


class KeyStore(Protocol):
    """Where keys are kept."""

    async def live_keys(self) -> Sequence[StoredKey]:
        """Every key that is neither revoked nor expired. Bounded in time. Raises anything when it cannot say."""

    async def note_use(self, key_ids: Collection[str]) -> None:
        """Remember that these were used just now, unless they were within the last minute. Raises anything when it cannot."""

    async def close(self) -> None:
        """Let go of connections. Raises nothing."""


class NoKeys:
    """A store without keys, for a process that serves nobody but the anonymous."""

    async def live_keys(self) -> Sequence[StoredKey]:
        """See KeyStore."""
        return ()

    async def note_use(self, key_ids: Collection[str]) -> None:
        """See KeyStore."""

    async def close(self) -> None:
        """See KeyStore."""


class KeyRing:
    """A snapshot of the keys, renewed every `refresh_s` seconds and good for `stale_max_s`. One event loop owns it."""

    def __init__(
        self,
        store: KeyStore,
        *,
        pepper: Pepper,
        refresh_s: float,
        stale_max_s: float,
        log: Log,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._refresh_s = refresh_s
        self._stale_max_s = stale_max_s
        self._log = log
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._keys: Mapping[str, StoredKey] = {}
        self._loaded_at: float | None = None
        self._of_other_peppers = 0
        self._troubles: dict[str, str] = {}
        self._used: set[str] = set()
        self._noted_at: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the keys, or fail to within the store's own limits; then keep them fresh."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop, and note what was used."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._note_use()
        await self._store.close()

    def find(self, offered: str) -> Caller | None:
        """Whose key it is, None for nobody's. Takes the same time for both. Does not look whether the ring is ready."""
        caller = recognise(offered, self._keys, pepper=self._pepper, now=self._wall_clock())
        if caller is not None:
            self._used.add(caller.key_id)
        return caller

    def unready(self) -> str | None:
        """None while keys can be told apart, else why not, as a code."""
        return None if self.age_s() <= self._stale_max_s else "keys_unavailable"

    def age_s(self) -> float:
        """Seconds since the snapshot was loaded; infinite without one."""
        return float("inf") if self._loaded_at is None else self._monotonic() - self._loaded_at

    async def refresh(self) -> None:
        """Load the keys anew, and note which were used. Raises nothing: what fails is logged once and tried again."""
        began = self._monotonic()
        try:
            keys = await self._store.live_keys()
        except Exception as error:  # noqa: BLE001 - whatever keeps the store from answering, the last snapshot serves on
            self._report(_AWAY, error)
            return
        self._take(keys)
        self._loaded_at = began
        await self._note_use()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()

    def _take(self, keys: Sequence[StoredKey]) -> None:
        ours = {key.caller.key_id: key for key in keys if key.pepper_id == self._pepper.id}
        others = len(keys) - len(ours)
        if others != self._of_other_peppers:
            self._log.warning("keys_of_another_pepper", keys=others)
        mended = self._troubles.pop(_AWAY, None) is not None
        if self._loaded_at is None or mended or len(ours) != len(self._keys):
            self._log.info("keys_loaded", keys=len(ours))
        self._keys, self._of_other_peppers = ours, others

    async def _note_use(self) -> None:
        now = self._monotonic()
        due = {key_id for key_id in self._used if now - self._noted_at.get(key_id, -NOTE_EVERY_S) >= NOTE_EVERY_S}
        if not due:
            return
        try:
            await self._store.note_use(due)
        except Exception as error:  # noqa: BLE001 - a late note is no reason to stop serving; it is tried again
            self._report(_NOT_NOTED, error)
            return
        self._troubles.pop(_NOT_NOTED, None)
        self._used -= due
        kept = {key_id: at for key_id, at in self._noted_at.items() if now - at < NOTE_EVERY_S}
        self._noted_at = kept | dict.fromkeys(due, now)

    def _report(self, trouble: str, error: BaseException) -> None:
        """One line as long as the trouble is the same."""
        if self._troubles.get(trouble) != error_class(error):
            self._troubles[trouble] = error_class(error)
            self._log.warning(trouble, error_class=error_class(error))
