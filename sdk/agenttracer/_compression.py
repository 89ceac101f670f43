"""How bodies are compressed: with zstd where this Python has it, else with gzip. Both at their fastest level."""

import gzip
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final, NamedTuple

_ZSTD: Final = ("compression.zstd", "backports.zstd")
"""The standard library's, from Python 3.14 on, and its twin for earlier ones, should the agent have installed it."""


class Encoding(NamedTuple):
    """A content encoding: its name in HTTP, and the function that applies it."""

    name: str
    compress: Callable[[bytes], bytes]


def _found() -> tuple[Encoding, ...]:
    gzipped = Encoding("gzip", lambda body: gzip.compress(body, compresslevel=1, mtime=0))
    for name in _ZSTD:
        try:
            zstd = import_module(name)
        except ImportError:
            continue
        return Encoding("zstd", partial(zstd.compress, level=1)), gzipped
    return (gzipped,)


ENCODINGS: Final = _found()
"""The encodings to try, the best one first; every gateway takes gzip, the last. Found once, while imports may be made."""
