"""Finds `AGENTTRACER_*` variables that no setting reads: most often they are misspelt. Only names are looked at, never values."""

import difflib
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel
from pydantic_settings import BaseSettings

PREFIX: Final = "AGENTTRACER_"
_NEAR: Final = 0.85
"""Above it are slips of one or two letters. `PORT_8000_TCP`, which Kubernetes sets for a service `…_PORT`, is below."""
_NEAR_WORD: Final = 0.75


class UnknownVariable(NamedTuple):
    """A variable that no setting reads, and the setting that may be meant."""

    name: str
    nearest: str | None


def variables_of(kind: type[BaseSettings]) -> frozenset[str]:
    """Every variable that these settings read."""
    prefix = kind.model_config.get("env_prefix", "")
    delimiter = kind.model_config.get("env_nested_delimiter") or ""
    names = {f"{prefix}{name.upper()}" for name in kind.model_fields}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= {f"{prefix}{name.upper()}{delimiter}{part.upper()}" for part in field.annotation.model_fields}
    return frozenset(names)


def unknown_to_service(kind: type[BaseSettings], environ: Iterable[str]) -> Iterator[UnknownVariable]:
    """The variables with the service's prefix, or with a prefix like it, that it does not read.

    All other variables belong to other services, to the command or to the SDK: a service does not know their names.
    """
    known, own = variables_of(kind), _word(kind.model_config.get("env_prefix", ""))
    for name in _ours(environ):
        nearest = nearest_of(name, known)
        is_own = _word(name) == own
        if name not in known and (is_own or (nearest is not None and _alike(_word(name), own))):
            yield UnknownVariable(name, nearest)


def misspelt(known: Collection[str], environ: Iterable[str]) -> Iterator[UnknownVariable]:
    """The variables that are not among the known ones but like one of them."""
    for name in _ours(environ):
        if name not in known and (nearest := nearest_of(name, known)):
            yield UnknownVariable(name, nearest)


def nearest_of(name: str, known: Iterable[str]) -> str | None:
    """The known name that this one may be meant to be; None if there is none like it."""
    by_end = {one.removeprefix(PREFIX): one for one in known}
    found = difflib.get_close_matches(name.removeprefix(PREFIX), by_end, n=1, cutoff=_NEAR)
    return by_end[found[0]] if found else None


def _ours(environ: Iterable[str]) -> list[str]:
    return sorted(name for name in {one.upper() for one in environ} if name.startswith(PREFIX))


def _word(name: str) -> str:
    """`QUERY` of `AGENTTRACER_QUERY_PORT`."""
    return name.removeprefix(PREFIX).partition("_")[0]


def _alike(word: str, own: str) -> bool:
    return difflib.SequenceMatcher(None, word, own).ratio() >= _NEAR_WORD
