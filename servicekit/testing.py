"""A key store in memory, for tests of the services. It keeps the promise of `KeyStore`."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Caller, Pepper, Scope, StoredKey, id_of, new_key
from servicekit.auth.refusals import Refusal
from servicekit.logs import Log

PEPPER: Final = Pepper("only-for-tests-" * 3)


class MemoryKeys:
    """Makes and revokes keys as the command does. Set `away` to have every question answered with an error."""

    def __init__(self) -> None:
        self.keys: dict[str, StoredKey] = {}
        self.used: list[str] = []
        self.refused: Counter[Refusal] = Counter()
        self.away = False

    def create(self, *scopes: Scope, project: str = "default", expires_at: float | None = None) -> str:
        """A key's full text."""
        made = new_key(PEPPER)
        caller = Caller(project=project, key_id=made.key_id, scopes=frozenset(scopes))
        self.keys[made.key_id] = StoredKey(
            caller=caller, secret_hash=made.secret_hash, pepper_id=made.pepper_id, expires_at=expires_at
        )
        return made.text

    def revoke(self, text: str) -> None:
        """Takes effect at the next refresh, as everywhere."""
        self.keys.pop(id_of(text) or "")

    async def live_keys(self) -> Sequence[StoredKey]:
        """See KeyStore."""
        self._answer()
        now = time.time()
        return [key for key in self.keys.values() if key.expires_at is None or key.expires_at > now]

    async def note_use(self, key_ids: Collection[str]) -> None:
        """See KeyStore."""
        self._answer()
        self.used += sorted(key_ids)

    async def note_refusals(self, refused: Mapping[Refusal, int]) -> None:
        """See KeyStore."""
        self._answer()
        self.refused += Counter(dict(refused))

    async def close(self) -> None:
        """See KeyStore."""

    def _answer(self) -> None:
        if self.away:
            raise ConnectionError


def cache_of(keys: MemoryKeys, *, stale_max_s: float = 60.0) -> KeyCache:
    """A cache of these keys; it is empty until it is refreshed or started."""
    return KeyCache(keys, peppers=[PEPPER], refresh_s=0.05, stale_max_s=stale_max_s, log=Log("test"))
