"""API keys as values: how one is made, taken apart, hashed and recognised. Pure: no store, no clock, no request.

A key reads `atk_<key id>_<secret>`. The id is public: keys are looked up, listed and logged by it. Of the secret only an
HMAC-SHA256 under a pepper is kept, and the pepper is no part of the store, so that a copy of the store opens nothing. A slow hash
would add nothing: the secret is random, not a password. Written out, a key is longer than a name may be, so that neither the wire
contract nor the logs take one for a label.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PEPPER_MIN_CHARS: Final = 32
"""128 bits even when written in hexadecimal digits."""
LIVE_MAX: Final = 2
"""Live keys of one project, scopes and name: the old one and its successor, while clients change over."""
_ID_CHARS: Final = 12
_SECRET_CHARS: Final = 48
"""285 bits out of 62 letters and digits."""
_ID_ALPHABET: Final = string.ascii_lowercase + string.digits
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits
_FORM: Final = re.compile(rf"atk_([a-z0-9]{{{_ID_CHARS}}})_([A-Za-z0-9]{{{_SECRET_CHARS}}})")


class Scope(StrEnum):
    """The use that a key is good for. No scope includes another."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, for the code that acts for its project. `key_id` is `anonymous` without a key."""

    project: str
    key_id: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key as the store has it. `expires_at` is in seconds since 1970, None for never; `pepper_id` names what hashed it."""

    caller: Caller
    secret_hash: bytes = field(repr=False)
    pepper_id: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `text` is what its owner gets, once."""

    key_id: str
    text: str = field(repr=False)
    secret_hash: bytes = field(repr=False)
    pepper_id: str


class Pepper:
    """The secret that every service of an installation has in its settings, and that is not in the store."""

    def __init__(self, secret: str) -> None:
        """Raises ValueError for one that is too short."""
        if len(secret) < PEPPER_MIN_CHARS:
            raise ValueError(f"the key pepper must have at least {PEPPER_MIN_CHARS} characters")
        self._key = secret.encode()
        self.id = self.digest("agenttracer pepper id").hex()[:16]
        """Tells peppers apart without telling anything about them."""

    def digest(self, secret: str) -> bytes:
        """The hash of a key's secret that is stored: 32 bytes."""
        return hmac.digest(self._key, secret.encode(), hashlib.sha256)


def new_key(pepper: Pepper) -> NewKey:
    """A key out of the operating system's randomness."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_CHARS))
    secret = "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(_SECRET_CHARS))
    return NewKey(key_id, f"atk_{key_id}_{secret}", pepper.digest(secret), pepper.id)


def id_of(text: str) -> str | None:
    """The key id in a key, None where it has not the form of one."""
    parts = _FORM.fullmatch(text)
    return parts[1] if parts else None


def recognise(offered: str, keys: Mapping[str, StoredKey], *, peppers: Sequence[Pepper], now: float) -> Caller | None:
    """The caller whose key is offered at `now` (seconds since 1970), None for an unknown one.

    Every offer is hashed and compared once, under the pepper of its key, so that the time taken does not show whether a key id
    exists. `peppers` has at least one.
    """
    parts = _FORM.fullmatch(offered)
    key_id, secret = parts.groups() if parts else _NOBODYS
    key = keys.get(key_id, _NO_KEY)
    pepper = next((one for one in peppers if one.id == key.pepper_id), peppers[0])
    matches = hmac.compare_digest(pepper.digest(secret), key.secret_hash)
    alive = key.expires_at is None or now < key.expires_at
    return key.caller if matches and alive and key is not _NO_KEY else None


_NOBODYS: Final = ("", "0" * _SECRET_CHARS)
_NO_KEY: Final = StoredKey(
    caller=Caller(project="", key_id="", scopes=frozenset()), secret_hash=secrets.token_bytes(32), pepper_id=""
)
