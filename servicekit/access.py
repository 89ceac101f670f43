"""Who may pass: from a request's headers to a caller or a refusal. How a refusal is answered is each service's own.

A key comes as `Authorization: Bearer <key>` or `X-Api-Key: <key>`, one of the two and once. Whatever else is offered is refused
as an unknown key would be, so that a slip never turns into anonymous access. Without a key nobody passes, unless the process says
so for itself, listens on loopback, and was addressed by a loopback name: a page in a browser can have its own name resolved to
this machine.
"""

import ipaddress
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from pydantic import SecretStr

from servicekit.key_ring import KeyRing, KeyStore, NoKeys
from servicekit.key_store import PostgresKeys
from servicekit.keys import Caller, Pepper, Scope
from servicekit.logs import Log

ANONYMOUS: Final = "anonymous"
ANONYMOUS_RULE: Final = "anonymous_project needs a loopback address as host: whoever reaches another one would pass without a key"
PEPPER_RULE: Final = "key_pepper must have at least 32 characters; make one with: openssl rand -hex 32"
NOBODY_RULE: Final = (
    "nobody could pass: set postgres_dsn and key_pepper for API keys, or anonymous_project to serve this machine without keys"
)
_NO_PEPPER: Final = "0" * 64  # hashes what is offered to a process without keys, so that it takes as long as elsewhere


class Refusal(Enum):
    """Why a request does not pass."""

    UNAUTHENTICATED = auto()
    """No key, or one that is malformed, unknown, revoked or expired: nobody is told which."""
    FORBIDDEN = auto()
    """A good key for something else."""
    UNAVAILABLE = auto()
    """Keys cannot be told apart now."""


class Access:
    """The door of a service: passes callers whose key has `scope`."""

    def __init__(self, ring: KeyRing, *, scope: Scope, anonymous_project: str | None) -> None:
        self._ring = ring
        self._scope = scope
        self._anonymous: Caller | None = None
        if anonymous_project is not None:
            self._anonymous = Caller(project=anonymous_project, key_id=ANONYMOUS, scopes=frozenset({scope}))

    def caller(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller | Refusal:
        """Who sent these headers (ASGI's: names in lower case)."""
        offered: list[str] = []
        host = b""
        for name, value in headers:
            if name == b"authorization":
                offered.append(_bearer(value))
            elif name == b"x-api-key":
                offered.append(value.decode("latin-1"))
            elif name == b"host":
                host = value
        if not offered and self._anonymous is not None and is_loopback(_hostname(host)):
            return self._anonymous
        return self._known(offered[0] if len(offered) == 1 else "")

    def _known(self, offered: str) -> Caller | Refusal:
        if self._ring.unready() is not None:
            return Refusal.UNAVAILABLE
        caller = self._ring.find(offered)
        if caller is None:
            return Refusal.UNAUTHENTICATED
        return caller if self._scope in caller.scopes else Refusal.FORBIDDEN


def key_ring(
    *, postgres_dsn: SecretStr | None, key_pepper: SecretStr | None, refresh_s: float, stale_max_s: float, log: Log
) -> KeyRing:
    """The ring of a real service. Without a pepper it holds no keys."""
    keyed = postgres_dsn is not None and key_pepper is not None
    store: KeyStore = PostgresKeys(postgres_dsn.get_secret_value()) if keyed and postgres_dsn else NoKeys()
    pepper = Pepper(key_pepper.get_secret_value() if keyed and key_pepper else _NO_PEPPER)
    return KeyRing(store, pepper=pepper, refresh_s=refresh_s, stale_max_s=stale_max_s, log=log)


@lru_cache(maxsize=16)  # the same few names, with every request
def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _bearer(value: bytes) -> str:
    scheme, _, key = value.partition(b" ")
    return key.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def _hostname(host: bytes) -> str:
    text = host.decode("latin-1")
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
