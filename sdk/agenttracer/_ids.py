"""Ids: random, independent of the generator that agents seed, and reseeded in a forked child. The only source of randomness."""

import os
from _random import Random  # the base of `random.Random`; importing `random` itself costs milliseconds
from typing import Final

RUN_BITS: Final = 74
"""Random bits of a run's id."""
_MILLIS: Final = (1 << 48) - 1
_LOW: Final = (1 << 62) - 1
_generator = Random()  # seeded by the system; ids must be unique, not secret, and the system's own source costs ten times as much
random_bits = _generator.getrandbits
random_below = _generator.random


if hasattr(os, "register_at_fork"):  # at import: a server may import the package, then fork workers that make the tracers
    os.register_at_fork(after_in_child=_generator.seed)


def run_value(started_us: int, drawn: int) -> int:
    """The 128 bits of a UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits, drawn before."""
    millis = started_us // 1_000 & _MILLIS
    return millis << 80 | 0x7 << 76 | drawn >> 62 << 64 | 0b10 << 62 | drawn & _LOW


def uuid_text(value: int) -> str:
    """The canonical form of a UUID's 128 bits."""
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_producer_id() -> str:
    """128 random bits as hex digits."""
    return f"{random_bits(128):032x}"


def new_step_bits() -> int:
    """64 random bits, never all zero: that id belongs to the run itself."""
    return random_bits(64) or 1


def step_id(bits: int) -> str:
    """The wire form of a step's 64 bits."""
    return f"{bits:016x}"
