"""Reads a request whose members have wrong types: such a member is left out, alone. Whatever has the right type is read as usual.

Each struct is tried whole first, so that only the way down to what is wrong is read member by member.
"""

import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

import msgspec

from producer_gateway.otlp.json_request import JsonRequest, JsonSpan
from producer_gateway.otlp.mended.json_text import cut, mend

_ABSENT: Final = msgspec.Raw()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)


def read(body: bytes) -> JsonRequest:
    """Raises MsgspecError, UnicodeDecodeError or RecursionError where it is no request at all."""
    text = mend(body)
    try:
        return _read(text)
    except RecursionError:
        return _read(cut(text))


def _read(text: bytes) -> JsonRequest:
    msgspec.json.decode(text, type=_Framed)
    request = _fit(text, JsonRequest)
    assert isinstance(request, JsonRequest)
    return request


class _Framed(msgspec.Struct, rename="camel"):
    """A request has one list, or none: anything else is none."""

    resource_spans: list[msgspec.Raw] | None = None


class _Plan(NamedTuple):
    """How a struct is read member by member."""

    decoder: Any
    members: Mapping[str, Any]
    """Types by name."""


def _fit(raw: bytes | msgspec.Raw, kind: Any) -> Any:  # noqa: ANN401 - any type of the structs
    """The value, without what is wrong in it; None where nothing is left."""
    try:
        return _decoder(kind).decode(raw)
    except _UNREADABLE:
        pass
    inner = _only(kind)
    if get_origin(inner) is list:
        return _fit_list(raw, get_args(inner)[0])
    return _fit_struct(raw, inner) if isinstance(inner, type) and issubclass(inner, msgspec.Struct) else None


def _fit_list(raw: bytes | msgspec.Raw, kind: Any) -> list[Any] | None:  # noqa: ANN401 - as above
    try:
        items = _decoder(list[msgspec.Raw]).decode(raw)
    except _UNREADABLE:
        return None
    found = [_fit(each, kind) for each in items]
    return found if _only(kind) is JsonSpan else [each for each in found if each is not None]


def _fit_struct(raw: bytes | msgspec.Raw, kind: type[msgspec.Struct]) -> msgspec.Struct | None:
    plan = _plan(kind)
    try:
        loose = plan.decoder.decode(raw)
    except _UNREADABLE:
        return None
    said = {name: getattr(loose, name) for name in plan.members}
    return kind(**{name: _fit(value, plan.members[name]) for name, value in said.items() if value is not _ABSENT})


@cache
def _plan(kind: type[msgspec.Struct]) -> _Plan:
    fields = msgspec.structs.fields(kind)
    loose = msgspec.defstruct(
        kind.__name__,
        [(each.name, msgspec.Raw, _ABSENT) for each in fields],
        rename={each.name: each.encode_name for each in fields},
    )
    return _Plan(msgspec.json.Decoder(loose), {each.name: each.type for each in fields})


@cache
def _decoder(kind: Any) -> Any:  # noqa: ANN401 - as above
    return msgspec.json.Decoder(kind)


def _only(kind: Any) -> Any:  # noqa: ANN401 - as above
    """The one type beside None; any other type as it is."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return kind
    others = [each for each in get_args(kind) if each is not type(None)]
    return others[0] if len(others) == 1 else kind
