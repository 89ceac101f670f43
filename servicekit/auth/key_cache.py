"""All live keys, held in memory and kept fresh, so that no request waits for the store. `KeyStore` is where they come from.

While the store is away the last snapshot serves on, up to a limit, so that telemetry is not lost with it. The price: where this
process alone cannot reach the store, a key that is revoked meanwhile serves on as well. `age_s` shows that to operators. Without
any snapshot no key can be told from another, and requests are refused with "unavailable".
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from servicekit.auth.keys import Caller, Pepper, StoredKey, id_of, recognise
from servicekit.auth.refusals import Refusal, RefusalReason
from servicekit.logs import Log, error_class

REFRESH_MAX_S: Final = 10.0
"""The longest pause between two reads of the store with which a revoked key is refused within 30 s. The slowest store that
answers gives the old keys after 5 s, notes the use of keys after 7 s (2 s to connect, 5 s for the statement); then comes this
pause; then it gives the new keys after 7 s."""
NOTE_EVERY_S: Final = 60.0
"""The grain of `last_used_at`: enough to see which of two keys is still in use, and a write a minute and key at most."""

_AWAY: Final = "key_store_away"
_NOT_NOTED: Final = "key_use_not_noted"
_NOT_AUDITED: Final = "key_refusals_not_noted"
_REFUSALS_MAX: Final = 1_000
"""Kinds of refusals that wait: keys that exist, times reasons. Beyond it they are not told apart by key."""


class KeyStore(Protocol):
    """A store of API keys."""

    async def live_keys(self) -> Sequence[StoredKey]:
        """Every key that is neither revoked nor expired. Bounded in time. Raises any error when it cannot answer."""

    async def note_use(self, key_ids: Collection[str]) -> None:
        """Store that these were used now, unless that was stored within the last minute. Raises any error when it cannot."""

    async def note_refusals(self, refused: Mapping[Refusal, int]) -> None:
        """Store in the audit log how many requests were refused. Raises any error when it cannot."""

    async def close(self) -> None:
        """Close connections. Raises nothing."""


class NoKeys:
    """A store without keys, for a process that serves anonymous callers alone."""

    async def live_keys(self) -> Sequence[StoredKey]:
        """See KeyStore."""
        return ()

    async def note_use(self, key_ids: Collection[str]) -> None:
        """See KeyStore."""

    async def note_refusals(self, refused: Mapping[Refusal, int]) -> None:
        """See KeyStore."""

    async def close(self) -> None:
        """See KeyStore."""


class KeyCache:
    """A snapshot of the keys, renewed every `refresh_s` seconds and good for `stale_max_s`. One event loop owns it.

    Keys under any of `peppers` are known: while one pepper takes the place of another, both are.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        peppers: Sequence[Pepper],
        refresh_s: float,
        stale_max_s: float,
        log: Log,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._refresh_s = refresh_s
        self._stale_max_s = stale_max_s
        self._log = log
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._keys: Mapping[str, StoredKey] = {}
        self._loaded_at: float | None = None
        self._of_other_peppers: frozenset[str] = frozenset()
        self._troubles: dict[str, str] = {}
        self._used: set[str] = set()
        self._noted_at: dict[str, float] = {}
        self._refusals: Counter[Refusal] = Counter()
        self._refusals_noted_at = -NOTE_EVERY_S
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the keys, or fail within the store's own limits; then keep them fresh."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop, and note what was used."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._note_use()
            await self._note_refusals()
        await self._store.close()

    def find(self, offered: str) -> Caller | None:
        """The caller that a key belongs to; None for an unknown key, found out in the same time. Call it only when ready."""
        caller = recognise(offered, self._keys, peppers=self._peppers, now=self._wall_clock())
        if caller is not None:
            self._used.add(caller.key_id)
        return caller

    def note_refusal(self, refusal: Refusal) -> None:
        """A request was refused: the audit log says so within a minute."""
        reason, _ = refusal
        known = refusal in self._refusals or len(self._refusals) < _REFUSALS_MAX
        self._refusals[refusal if known else (reason, None)] += 1

    def why_unknown(self, offered: str) -> tuple[RefusalReason, str | None]:
        """Why `find` answered None, and the id of the key where there is one."""
        key_id = id_of(offered)
        if key_id is None:
            return RefusalReason.MALFORMED, None
        if key_id in self._of_other_peppers:
            return RefusalReason.OTHER_PEPPER, key_id
        key = self._keys.get(key_id)
        if key is None:
            return RefusalReason.UNKNOWN, None
        expired = key.expires_at is not None and self._wall_clock() >= key.expires_at
        return RefusalReason.EXPIRED if expired else RefusalReason.WRONG_SECRET, key_id

    def alive(self, key_id: str) -> Caller | None:
        """The caller of a key that was recognised before; None once it is revoked or expired. Call it only when ready."""
        key = self._keys.get(key_id)
        if key is None or (key.expires_at is not None and key.expires_at <= self._wall_clock()):
            return None
        self._used.add(key_id)
        return key.caller

    def now(self) -> float:
        """The clock that keys expire by: seconds since 1970."""
        return self._wall_clock()

    def seal(self, text: str) -> str:
        """A signature of `text`, the same from every process whose first pepper is this one; another one makes it void."""
        # No key's secret has a blank in it, so no stored hash is a signature.
        return self._peppers[0].digest(f"sealed {text}").hex()

    @property
    def pepper_id(self) -> str:
        """Tells installations apart without telling anything about their pepper."""
        return self._peppers[0].id

    def unready(self) -> str | None:
        """None while the snapshot is fresh enough, else a code that says why keys cannot be checked."""
        return None if self.age_s() <= self._stale_max_s else "keys_unavailable"

    def age_s(self) -> float:
        """Seconds since the snapshot was loaded; infinite without one."""
        return float("inf") if self._loaded_at is None else self._monotonic() - self._loaded_at

    async def refresh(self) -> None:
        """Load the keys again, and note which were used. Raises nothing: a failure is logged once and tried again."""
        began = self._monotonic()
        try:
            keys = await self._store.live_keys()
        except Exception as error:  # noqa: BLE001 - whatever keeps the store from answering, the last snapshot serves on
            self._report(_AWAY, error)
            return
        self._take(keys)
        self._loaded_at = began
        await self._note_use()
        if self._refusals and self._monotonic() - self._refusals_noted_at >= NOTE_EVERY_S:
            await self._note_refusals()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()

    def _take(self, keys: Sequence[StoredKey]) -> None:
        known = {pepper.id for pepper in self._peppers}
        ours = {key.caller.key_id: key for key in keys if key.pepper_id in known}
        others = frozenset(key.caller.key_id for key in keys if key.pepper_id not in known)
        if len(others) != len(self._of_other_peppers):
            self._log.warning("keys_of_another_pepper", keys=len(others))
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

    async def _note_refusals(self) -> None:
        refused, self._refusals = self._refusals, Counter()
        if not refused:
            return
        try:
            await self._store.note_refusals(refused)
        except Exception as error:  # noqa: BLE001 - as above; the log of this process has them anyway
            self._refusals += refused
            self._report(_NOT_AUDITED, error)
            return
        self._troubles.pop(_NOT_AUDITED, None)
        self._refusals_noted_at = self._monotonic()

    def _report(self, trouble: str, error: BaseException) -> None:
        """One line as long as the trouble is the same."""
        if self._troubles.get(trouble) != error_class(error):
            self._troubles[trouble] = error_class(error)
            self._log.warning(trouble, error_class=error_class(error))
