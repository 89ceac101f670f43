"""Paths of steps as short fingerprints, from kinds and names alone: nothing of a run's content, ids or times goes in.

Loops are collapsed: an immediate repetition, of a step or of a round of up to eight, stands once, so that a run that tried three
times has the shape of one that tried once. Fingerprints are 64-bit BLAKE2b in hex and need no key: they tell nothing to a reader
who knows the names of an agent's steps.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

ROUND_MAX: Final = 8
"""Steps of the longest round that is collapsed: plan, retrieve, some tools, respond."""
_SEPARATOR: Final = "\x1f"
"""Fits into no name."""


def digest(parts: Iterable[str]) -> str:
    """Sixteen hex digits of these parts, in order."""
    return blake2b(_SEPARATOR.join(parts).encode(), digest_size=8).hexdigest()


def collapsed(path: Sequence[str]) -> list[str]:
    """`path` with immediate repetitions standing once."""
    kept: list[str] = []
    for token in path:
        kept.append(token)
        for length in range(1, min(ROUND_MAX, len(kept) // 2) + 1):
            if kept[-length:] == kept[-2 * length : -length]:
                del kept[-length:]
                break
    return kept


@lru_cache(maxsize=1_024)
def shape_of(kinds_and_names: tuple[str, ...]) -> str:
    """The fingerprint of steps in their order, given as kind, name, kind, name, … Agents take few ways, so most are known."""
    kinds, names = kinds_and_names[::2], kinds_and_names[1::2]
    return digest(collapsed([f"{kind} {name}" for kind, name in zip(kinds, names, strict=True)]))
