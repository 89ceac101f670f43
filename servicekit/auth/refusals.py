"""Refused API keys, counted by reason and logged: who answers for a key learns that clients still use it, or try another's.

A line has the reason and the public key id of a key that exists, never the secret and nothing of a key that does not. One line a
minute and key is enough, so a client that goes on trying fills no log.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from prometheus_client import Counter

from servicekit.logs import Log

LOG_EVERY_S: Final = 60.0
_REMEMBERED_MAX: Final = 1_000


class RefusalReason(StrEnum):
    """Why a request is not let in."""

    NO_KEY = "no_key"
    SEVERAL_KEYS = "several_keys"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    """No live key has this id: it was revoked, expired, or never was."""
    OTHER_PEPPER = "other_pepper"
    EXPIRED = "expired"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a reason, no password
    WRONG_SCOPE = "wrong_scope"
    SESSION_ENDED = "session_ended"
    """A browser whose sign-in is over, or whose key was revoked; a seal that is not ours as well."""
    PROXIED = "proxied"
    """Without a key, through a proxy: it may come from anywhere."""
    FOREIGN_HOST = "foreign_host"
    """Without a key, under a name that is not this machine's."""


Refusal = tuple[RefusalReason, str | None]
"""The reason, and the id of the key where it is one that exists."""


class KeyRefusals:
    """Counts and logs. One event loop owns it."""

    def __init__(
        self,
        log: Log,
        counter: Counter,
        *,
        note: Callable[[Refusal], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`counter` has the label `reason`; `note` hears of each as well."""
        self._note = note
        self._log = log
        self._counter = counter
        self._clock_s = clock_s
        self._logged_at: dict[Refusal, float] = {}

    def refused(self, reason: RefusalReason, key_id: str | None) -> None:
        """One request was refused. `key_id` is that of a key that exists, else None."""
        self._counter.labels(reason).inc()
        self._note((reason, key_id))
        now = self._clock_s()
        if now - self._logged_at.get((reason, key_id), -LOG_EVERY_S) < LOG_EVERY_S:
            return
        if len(self._logged_at) >= _REMEMBERED_MAX:
            self._logged_at.clear()
        self._logged_at[reason, key_id] = now
        self._log.warning("key_refused", reason=reason, key_id=key_id)
