"""Addresses of an existing Kafka and PostgreSQL, checked by their form as soon as they are read. Nothing is contacted here.

A refusal names the rule and never the address, which holds a password.
"""

import re
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from agenttracer_cli.errors import SettingsError
from agenttracer_cli.local_stack.ports import PORT_MAX

_SCHEMES: Final = ("postgresql", "postgres")
POSTGRES_RULE: Final = (
    "it is not an address of the form postgresql://user:password@host:port/database; percent-encode "
    "@ : / ? # % and spaces in user and password (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23)"
)
KAFKA_RULE: Final = f"it is not HOST:PORT, or several of them with commas between, each port from 1 to {PORT_MAX}"
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:/@,]+)(:(?P<port>[0-9]{1,5}))?")


def postgres_url(text: str, *, name: str) -> str:
    """The address if it is one. Raises SettingsError, which calls it by `name`."""
    if not _is_postgres_url(text):
        raise SettingsError(f"{name}: {POSTGRES_RULE}")
    return text


def has_password(postgres: str) -> bool:
    """Whether an address that passed holds one, before its hosts or among its parameters."""
    parts = urlsplit(postgres)
    return ":" in parts.netloc.rpartition("@")[0] or "password" in parse_qs(parts.query, keep_blank_values=True)


def as_role(postgres: str, role: str) -> str:
    """An address that passed, of sessions that take on `role` as they begin; its user must be allowed to."""
    parts = urlsplit(postgres)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "role"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("role", role)])))


def kafka_bootstrap(text: str, *, name: str) -> str:
    """The brokers' addresses if they are some. Raises SettingsError, which calls them by `name`."""
    if not all(_is_host(part.strip()) for part in text.split(",")):
        raise SettingsError(f"{name}: {KAFKA_RULE}")
    return text


def shown(postgres: str, *, usual_port: int) -> str:
    """`host:port/database` of an address that passed: without user and password."""
    parts = urlsplit(postgres)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return ",".join(_with_port(host, usual_port) for host in hosts) + parts.path


def _with_port(host: str, usual_port: int) -> str:
    found = _HOST.fullmatch(host)
    return host if found is not None and found["port"] else f"{host}:{usual_port}"


def _is_postgres_url(text: str) -> bool:
    if any(character.isspace() or not character.isprintable() for character in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket out of place
        return False
    # An @ / ? or # in a password makes its rest part of the path, query or fragment.
    if parts.scheme not in _SCHEMES or "#" in text or "@" in parts.path + parts.query or "/" in parts.path[1:]:
        return False
    hosts = parts.netloc.rpartition("@")[2]
    return "//" in text and (not hosts or all(_is_host(host) for host in hosts.split(",")))


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (found["port"] is None or 1 <= int(found["port"]) <= PORT_MAX)
