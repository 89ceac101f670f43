"""How many fields an OTLP body holds, counted on the wire before the parser makes objects of them. Nothing is read but lengths.

Two bytes are enough for an empty resource, which takes 50 as an object, or an empty attribute, which takes as much. A body is
read in pieces (`proto`): what holds the spans first, then one span after another. So each is counted by itself, and only where
it is so large that it matters: a span hardly ever is, and usual traffic pays nothing. Fields of any kind count, unknown ones too:
each is a step of the count itself, and a hostile body can have a million.
"""

from typing import Any, Final

from producer_gateway.errors import BodyTooLargeError, NotProtobufError
from producer_gateway.limits.complexity_limit import HARMLESS_BYTES, refuse_dense

_PIECE_MAX: Final = 200_000
"""In one span. At 60 bytes and a microsecond each they cost 12 MiB and 0.2 s."""
_ENVELOPES_MAX: Final = 150_000
"""Of resources, scopes and spans: seven for each of as many spans as the settings can allow, each in a resource and a scope of
its own, so that the exact limit refuses first. Takes 50 ms."""
_JSON_VALUES_MAX: Final = 800_000
"""An attribute is four of them. An empty span takes 112 bytes and two of them: 45 MiB."""

# --- messages of opentelemetry-proto that are looked into, by the tags of their fields

_Fields = dict[int, Any]


def _tag(number: int) -> int:
    return number << 3 | 2


_ANY_VALUE: Final[_Fields] = {}
_KEY_VALUE: Final[_Fields] = {_tag(2): _ANY_VALUE}
_LIST: Final[_Fields] = {_tag(1): _ANY_VALUE}
_KEY_VALUES: Final[_Fields] = {_tag(1): _KEY_VALUE}
_ANY_VALUE.update({_tag(5): _LIST, _tag(6): _KEY_VALUES})
RESOURCE: Final[_Fields] = {_tag(1): _KEY_VALUE, _tag(3): {}}
_EVENT: Final[_Fields] = {_tag(3): _KEY_VALUE}
_LINK: Final[_Fields] = {_tag(4): _KEY_VALUE}
SCOPE: Final[_Fields] = {_tag(3): _KEY_VALUE}
SPAN: Final[_Fields] = {_tag(9): _KEY_VALUE, _tag(11): _EVENT, _tag(13): _LINK}
"""All the way down, as those above are."""
ENVELOPES: Final[_Fields] = {_tag(1): {_tag(2): {}}}
"""Of a request, down to its spans."""


def examine_protobuf(body: bytes) -> None:
    """Of a whole request. Raises BodyTooLargeError, NotProtobufError."""
    if len(body) > HARMLESS_BYTES and count(body, ENVELOPES, most=_ENVELOPES_MAX) > _ENVELOPES_MAX:
        raise BodyTooLargeError(code="too_many_spans")


def examine_piece(piece: bytes, fields: _Fields) -> None:
    """Of one `SPAN`, `RESOURCE` or `SCOPE`. Raises BodyTooLargeError, NotProtobufError."""
    if len(piece) > HARMLESS_BYTES and count(piece, fields, most=_PIECE_MAX) > _PIECE_MAX:
        raise BodyTooLargeError(code="too_many_attributes")


def examine_json(body: bytes) -> None:
    """Raises BodyTooLargeError."""
    if len(body) > HARMLESS_BYTES:
        refuse_dense(body, values_max=_JSON_VALUES_MAX)


def count(body: bytes, fields: _Fields, *, most: int) -> int:
    """Fields of a message and of those in it, counted no further than one more than `most`. Raises NotProtobufError."""
    counted = 0
    inside = [(0, len(body), fields)]
    try:
        while inside and counted <= most:
            at, end, known = inside.pop()
            counted += _step_over(body, at, end, known, inside, most - counted)
    except IndexError:
        raise NotProtobufError from None
    return counted


def _step_over(  # noqa: PLR0917 - the inner loop: keywords cost
    body: bytes, at: int, end: int, known: _Fields, inside: list[tuple[int, int, _Fields]], most: int
) -> int:
    """Fields right inside of a message from `at` to `end`; those that `known` looks into are noted in `inside`."""
    counted = 0
    while at < end and counted <= most:
        tag = body[at]
        at += 1
        counted += 1
        if tag > 0x7F:  # noqa: PLR2004 - a further byte follows
            tag, at = _varint(body, at - 1)
        kind = tag & 7
        if kind == 2:  # noqa: PLR2004 - a length and so many bytes
            size = body[at]
            at += 1
            if size > 0x7F:  # noqa: PLR2004 - as above
                size, at = _varint(body, at - 1)
            fields = known.get(tag)
            if size and fields is not None:
                inside.append((at, at + size, fields))
            at += size
        else:
            at = _skip(body, at, kind)
    if at > end:
        raise NotProtobufError
    return counted


def _skip(body: bytes, at: int, kind: int) -> int:
    """Where a field ends that holds no bytes."""
    if kind == 0:
        return _varint(body, at)[1]
    if kind in _WIDTHS:
        return at + _WIDTHS[kind]
    raise NotProtobufError


_WIDTHS: Final = {1: 8, 3: 0, 4: 0, 5: 4}
"""64 and 32 bits, and the marks around a group: its fields are counted as if they stood beside it."""
_VARINT_BITS_MAX: Final = 63


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= _VARINT_BITS_MAX:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte <= 0x7F:  # noqa: PLR2004 - the last one
            return value, at
        shift += 7
    raise NotProtobufError
