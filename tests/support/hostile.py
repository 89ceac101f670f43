"""Bodies that are small as bytes and large as objects, each about `size` bytes."""

from collections.abc import Callable
from typing import Final

RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
_BATCH = b'{"v":"1.0","producer":{"id":"p","agent":"a","agent_version":"1"},"events":['
_STARTED = b'{"type":"run_started","run_id":"%s","seq":0,"started_at":1768469400000000,"metadata":{' % RUN.encode()
_SPANS = b'{"resourceSpans":[{"scopeSpans":[{"spans":['


def field(number: int, body: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + body


def _span(body: bytes) -> bytes:
    return field(1, field(2, field(2, body)))


def _value(body: bytes) -> bytes:
    """Of an attribute that is read."""
    return _span(field(9, field(1, b"gen_ai.response.finish_reasons") + field(2, body)))


def _exception(attributes: bytes) -> bytes:
    """A span event that is read, since the span has failed."""
    return _span(field(11, field(2, b"exception") + attributes) + field(15, b"\x18\x02"))


def _keys(size: int) -> bytes:
    return b",".join(b'"a%x":1' % at for at in range(size // 10))


PROTOBUF: Final[dict[str, Callable[[int], bytes]]] = {
    "spans": lambda size: field(1, field(2, field(2, b"") * (size // 2))),
    "scopes": lambda size: field(1, field(2, b"") * (size // 2)),
    "resources": lambda size: field(1, b"") * (size // 2),
    "attributes": lambda size: _span(field(9, b"") * (size // 2)),
    "events": lambda size: _span(field(11, b"") * (size // 2)),
    "attributes of an event": lambda size: _exception(field(3, b"") * (size // 2)),
    "links": lambda size: _span(field(13, b"") * (size // 2)),
    "items of a list": lambda size: _value(field(5, field(1, b"") * (size // 2))),
    "pairs of a map": lambda size: _value(field(6, field(1, b"") * (size // 2))),
    "attributes of a resource": lambda size: field(1, field(1, field(1, b"") * (size // 2))),
    "unknown fields": lambda size: b"\x78\x01" * (size // 2),
    "unknown groups": lambda size: b"\x7b\x7c" * (size // 2),
    "unknown fields of a span": lambda size: _span(b"\x98\x06\x01" * (size // 3)),
    "unknown groups of a span": lambda size: _span(b"\x9b\x06\x9c\x06" * (size // 4)),
    "keys of an entity": lambda size: field(1, field(1, field(3, field(3, b"") * (size // 2)))),
}
OTLP_JSON: Final[dict[str, Callable[[int], bytes]]] = {
    "spans": lambda size: _SPANS + b"{}," * (size // 3) + b"{}]}]}]}",
    "attributes": lambda size: _SPANS + b'{"attributes":[' + b"{}," * (size // 3) + b"{}]}]}]}]}",
    "items": lambda size: (
        _SPANS + b'{"attributes":[{"value":{"arrayValue":{"values":[' + b"{}," * (size // 3) + b"{}]}}}]}]}]}]}"
    ),
}
EVENTS: Final[dict[str, Callable[[int], bytes]]] = {
    "lists": lambda size: _BATCH + b"[]," * (size // 3) + b"[]]}",
    "maps": lambda size: _BATCH + b'{"a":1},' * (size // 8) + b"{}]}",
    "metadata": lambda size: _BATCH + _STARTED + _keys(size) + b"}}]}",
    "unknown members": lambda size: _BATCH[:-10] + _keys(size) + b"}",
    "wide strings": lambda size: _BATCH + '"\U0001f600'.encode() + b"a" * size + b'"]}',
}
RUNS: Final[dict[str, Callable[[int], bytes]]] = {
    "steps": lambda size: b'{"steps":[' + b"{}," * (size // 3) + b"{}]}",
    "metadata": lambda size: b'{"metadata":{' + _keys(size) + b"}}",
    "lists": lambda size: b'{"steps":' + b"[" + b"[]," * (size // 3) + b"[]]}",
}
