"""JSON that is nearly right: values, members and structure changed, then the text. Pure; the same for the same chance."""

import json
import random
import re
from copy import deepcopy
from typing import Any, Final

_START_NS: Final = 1_768_469_400_000_000_000
MOMENTS_NS: Final = (
    _START_NS - 10**12,
    _START_NS,
    _START_NS + 10**12,
    _START_NS + 10**17,
    4_102_444_800 * 10**9,
    946_684_800 * 10**9,
    10**15,
)
"""In spans' nanoseconds: near the seeds', more than a year later, at the contract's borders and beyond."""
WRONG: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), -(2**63) - 1, 0.5, -0.0, 1e308, 5e-324),
    *("", "0", "x", "NaN", "-5", "9" * 25, "\0", "é", "\ud800", "a b", "a@b", "__invalid__", "A" * 64, "A" * 65, "a" * 5_000),
    *("0" * 32, "f" * 32, "0" * 16, "zz" * 8, "ab", [], {}, [[]], [None], {"": ""}, {"a": {"a": {"a": {}}}}),
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "2026-01-15T09:30:00.1234567Z", "2026-02-30T00:00:00Z"),
    *("1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2026-01-15T09:30:00", "2026-01-15", "T", "1e9", "-0001-01-01T00:00:00Z"),
    *(946_684_800_000_000, 4_102_444_800_000_000, 4_102_444_800_000_001, 31_622_400_000_000, 31_622_400_000_001, 10**18),
    *("1.0", "1.9999", "1.99999", "2.0", "0.1", "01.0", "run_started", "events_dropped", "run_heartbeat", "failure_recorded"),
    *(
        {"stringValue": "x"},
        {"intValue": "x"},
        {"arrayValue": {"values": [{}]}},
        {"kvlistValue": {"values": [{}]}},
        {"bytesValue": "!"},
    ),
    {f"k{number}": number for number in range(40)},
    *(str(moment) if at % 2 else moment for at, moment in enumerate((*MOMENTS_NS, *MOMENTS_NS[::-1]))),
)
_NUMBERS: Final = (
    "NaN",
    "Infinity",
    "1e999",
    "-1e999",
    "1E400",
    "00",
    "-",
    ".5",
    "5.",
    "0x10",
    "1_0",
    "1e-400",
    "1" * 400,
    "true",
)
_NUMBER: Final = re.compile(rb"-?\d+(\.\d+)?")
_DEEP: Final = (50, 900, 1_100, 100_000)


def mutated(chance: random.Random, start: Any) -> bytes:
    """`start` with up to three changes, as text that may have changes of its own."""
    body = deepcopy(start)
    for _ in range(chance.choice((1, 1, 2, 3))):
        _mutate(chance, body)
    text = json.dumps(body, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    return _changed_text(chance, text) if chance.random() < 0.15 else text


def _mutate(chance: random.Random, at: Any) -> None:
    """One change somewhere below `at`: a wrong value, a member less, one many times, one under another's name or a new one."""
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = chance.choice(keys)
        if not (isinstance(at[key], dict | list) and at[key] and chance.random() < 0.8):
            break
        at = at[key]
    change = chance.randrange(8)
    if change == 0:
        del at[key]
    elif change == 1 and isinstance(at, list):
        at.extend([deepcopy(at[key]) for _ in range(chance.choice((1, 2, 30)))])
    elif change == 2 and isinstance(at, dict):
        at[chance.choice(keys)] = deepcopy(at[key])
    elif change == 3 and isinstance(at, dict):
        at[chance.choice(("", "x", "é", "\0", "type", "metadata", "a" * 300))] = deepcopy(chance.choice(WRONG))
    else:
        at[key] = deepcopy(chance.choice(WRONG))


def _changed_text(chance: random.Random, text: bytes) -> bytes:  # noqa: PLR0911 - one line a change
    at = chance.randrange(len(text) + 1)
    match chance.randrange(9):
        case 0:
            return text[:at]
        case 1:
            return _NUMBER.sub(chance.choice(_NUMBERS).encode(), text, count=chance.randint(1, 3))
        case 2:
            return text[:at] + chance.choice((b",", b"{", b"]", b'"', b"\\u12", b"\xff", b"\0", b"//", b"'")) + text[at:]
        case 3:
            depth = chance.choice(_DEEP)
            opened, closed = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
            return text.replace(b"1", opened * depth + b"1" + closed * depth, 1)
        case 4:
            return chance.choice((b"\xef\xbb\xbf", b" \n\t", b"\xfe\xff", b"\x1f\x8b")) + text
        case 5:
            return text + chance.choice((text, b"\n", b"}", b"\0", b"[]"))
        case 6:
            return text.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-16-le", "utf-32")))
        case 7:
            return re.sub(rb'("\w+":)', rb"\1 1, \1", text, count=2)  # members twice
    return bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
