"""From a request's headers to a caller, or to the error that the request is answered with.

A key comes as `Authorization: Bearer <key>` or `X-Api-Key: <key>`, one of the two and once. Anything else that is offered is
refused as an unknown key would be, so that a slip never turns into anonymous access. A request without a key passes only where
the settings allow it, the process listens on loopback, the request names a loopback host (a page in a browser can have its own
name resolved to this machine), and no proxy passed it on: behind one it may come from anywhere.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from pydantic import SecretStr

from servicekit.auth.errors import ForbiddenError, KeysUnavailableError, UnauthenticatedError
from servicekit.auth.key_cache import KeyCache, KeyStore, NoKeys
from servicekit.auth.key_store import PostgresKeys
from servicekit.auth.keys import Caller, Pepper, Scope
from servicekit.auth.refusals import RefusalReason
from servicekit.logs import Log

ANONYMOUS: Final = "anonymous"
ANONYMOUS_RULE: Final = "anonymous_project needs a loopback address as host: clients that reach another pass without a key"
PEPPER_RULE: Final = "key_pepper must have at least 32 characters; make one with: openssl rand -hex 32"
FORMER_PEPPER_RULE: Final = "key_pepper_former must have at least 32 characters, as the pepper that it was"
NOBODY_RULE: Final = (
    "no client could pass: set postgres_dsn and key_pepper for API keys, or anonymous_project to serve this machine without keys"
)
_HOST: Final = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]{1,5})?")
_OF_PROXIES: Final = (b"forwarded", b"via")
_NO_PEPPER: Final = "0" * 64  # hashes what is offered to a process without keys, so that it takes as long as elsewhere


def _unheard(_reason: RefusalReason, _key_id: str | None) -> None:
    return


class Authenticator:
    """Lets callers in whose key has `scope`. `again` names what a client sends again when keys cannot be checked.

    `refused` hears of each request that is not let in.
    """

    def __init__(
        self,
        keys: KeyCache,
        *,
        scope: Scope,
        anonymous_project: str | None,
        again: str,
        refused: Callable[[RefusalReason, str | None], None] = _unheard,
    ) -> None:
        self._keys = keys
        self._scope = scope
        self._unchecked = f"API keys cannot be checked now: {again} after Retry-After seconds."
        self._refused = refused
        self._anonymous: Caller | None = None
        if anonymous_project is not None:
            self._anonymous = Caller(project=anonymous_project, key_id=ANONYMOUS, scopes=frozenset({scope}))

    def caller(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller:
        """The sender of these headers (ASGI's: names in lower case).

        Raises UnauthenticatedError, ForbiddenError, KeysUnavailableError.
        """
        offered: list[str] = []
        for name, value in headers:
            if name == b"authorization":
                offered.append(_bearer(value))
            elif name == b"x-api-key":
                offered.append(value.decode("latin-1"))
        if not offered:
            return self._without_key(headers)
        return self._known(offered[0] if len(offered) == 1 else "", several=len(offered) > 1)

    def _without_key(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        reason = RefusalReason.NO_KEY if self._anonymous is None else _why_not_local(headers)
        if reason is None and self._anonymous is not None:
            return self._anonymous
        if self._keys.unready() is not None:
            raise KeysUnavailableError(self._unchecked)
        self._refused(reason or RefusalReason.NO_KEY, None)
        raise UnauthenticatedError

    def _known(self, offered: str, *, several: bool) -> Caller:
        if self._keys.unready() is not None:
            raise KeysUnavailableError(self._unchecked)
        caller = self._keys.find(offered)
        if caller is None:
            self._refused(*((RefusalReason.SEVERAL_KEYS, None) if several else self._keys.why_unknown(offered)))
            raise UnauthenticatedError
        if self._scope not in caller.scopes:
            self._refused(RefusalReason.WRONG_SCOPE, caller.key_id)
            raise ForbiddenError(f"The API key lacks the scope `{self._scope}`.")
        return caller


def _why_not_local(headers: Iterable[tuple[bytes, bytes]]) -> RefusalReason | None:
    """Why a request without a key may not be this machine's own; None where it is."""
    hosts = []
    for name, value in headers:
        if name in _OF_PROXIES or name.startswith(b"x-forwarded-"):
            return RefusalReason.PROXIED
        if name == b"host":
            hosts.append(value)
    return None if len(hosts) == 1 and is_loopback(_hostname(hosts[0])) else RefusalReason.FOREIGN_HOST


def build_key_cache(
    *,
    postgres_dsn: SecretStr | None,
    key_pepper: SecretStr | None,
    former_pepper: SecretStr | None,
    refresh_s: float,
    stale_max_s: float,
    log: Log,
) -> KeyCache:
    """The key cache of a real service. Without a pepper it holds no keys; keys under the former one are good as well."""
    keyed = postgres_dsn is not None and key_pepper is not None
    store: KeyStore = PostgresKeys(postgres_dsn.get_secret_value()) if keyed and postgres_dsn else NoKeys()
    peppers = [Pepper(key_pepper.get_secret_value() if keyed and key_pepper else _NO_PEPPER)]
    if keyed and former_pepper is not None:
        peppers.append(Pepper(former_pepper.get_secret_value()))
    return KeyCache(store, peppers=peppers, refresh_s=refresh_s, stale_max_s=stale_max_s, log=log)


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
    """The name in a Host header; empty where it has not exactly the form of one."""
    parts = _HOST.fullmatch(host)
    return (parts[1] or parts[2]).decode("ascii") if parts else ""
