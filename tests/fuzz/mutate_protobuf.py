"""Protobuf that is nearly right: fields dropped, doubled, swapped, retyped at any depth, with lengths that hold; then its bytes.

A message is taken apart without its schema: what is length-delimited is a message where it reads as one. Pure.
"""

import random
from typing import Final, NamedTuple

from tests.fuzz.mutate_json import MOMENTS_NS

_VARINT, _I64, _BYTES, _I32 = 0, 1, 2, 5
_SIZES: Final = {_I64: 8, _I32: 4}
_NUMBERS: Final = (0, 1, 2, 127, 128, 2**31, 2**32 - 1, 2**63, 2**64 - 1, *MOMENTS_NS)
_STRINGS: Final = (b"", b"x", b"\xff\xfe", b"\0" * 16, b"a" * 5_000, "é".encode(), b"\xed\xa0\x80", b"\x0a" * 64, b"exception")


class Field(NamedTuple):
    """One field as it lies on the wire."""

    number: int
    wire_type: int
    value: int | bytes


def mutated(chance: random.Random, start: bytes) -> bytes:
    """`start` with up to three changes of its structure, or of its bytes, which leave no length right."""
    data = start
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = _restructured(chance, data) if chance.random() < 0.75 else _changed_bytes(chance, data)
    return data


def fields(data: bytes) -> list[Field] | None:
    """The fields of a message, None for bytes that are none."""
    found: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        value: int | bytes
        if wire_type == _VARINT:
            value, at = _read_varint(data, at)
        else:
            size, at = _read_varint(data, at) if wire_type == _BYTES else (_SIZES.get(wire_type, -1), at)
            value, at = data[at : at + size], at + size
            if size < 0 or at > len(data):
                return None
        if at < 0 or not number:
            return None
        found.append(Field(number, wire_type, value))
    return found


def encoded(message: list[Field]) -> bytes:
    """The bytes of a message, with lengths that hold."""
    out = bytearray()
    for field in message:
        out += varint(field.number << 3 | field.wire_type)
        if isinstance(field.value, int):
            out += varint(field.value)
        else:
            out += (varint(len(field.value)) if field.wire_type == _BYTES else b"") + field.value
    return bytes(out)


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number and where it ends; -1 where it does not."""
    value = shift = 0
    while 0 <= at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
    return 0, -1


def _restructured(chance: random.Random, data: bytes) -> bytes:
    message = fields(data)
    if not message:
        return data
    at = chance.randrange(len(message))
    field = message[at]
    if isinstance(field.value, bytes) and field.wire_type == _BYTES and fields(field.value) and chance.random() < 0.85:
        message[at] = field._replace(value=_restructured(chance, field.value))
        return encoded(message)
    match chance.randrange(7):
        case 0:
            del message[at]
        case 1:
            message[at:at] = [field] * chance.choice((1, 2, 40))
        case 2:
            message.insert(chance.randrange(len(message)), message.pop(at))
        case 3:
            message[at] = field._replace(number=chance.choice((1, 2, 3, 4, 7, 9, 15, 16, 1_000, 2**29 - 1)))
        case 4:
            message[at] = Field(field.number, _VARINT, chance.choice(_NUMBERS))
        case 5:
            message[at] = Field(field.number, _I64, chance.choice(_NUMBERS).to_bytes(8, "little"))
        case 6:
            message[at] = Field(field.number, _BYTES, chance.choice((*_STRINGS, data[:2_000])))
    return encoded(message)


def _changed_bytes(chance: random.Random, start: bytes) -> bytes:
    data = bytearray(start)
    at = chance.randrange(len(data) or 1)
    match chance.randrange(5):
        case 0 if data:
            data[at] = chance.randrange(256)
        case 1 if data:
            data[at] ^= 1 << chance.randrange(8)
        case 2:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        case 3:
            del data[at : at + chance.randint(1, 12)]
        case _:
            del data[at:]
    return bytes(data)
