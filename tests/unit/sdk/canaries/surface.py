"""What the SDK is given to hold: every value that crosses its surface, kept whole. The control of the canaries' test.

A tracer without its filter would send this. It is seen from outside, by the interpreter's profiler, so that nothing of the
SDK is changed and no channel can be forgotten.
"""

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import methodcaller
from pathlib import Path
from types import FrameType
from typing import Any, Final

import agenttracer

_SDK: Final = str(Path(agenttracer.__file__).parent)
_DUMPS: Final = ("to_json", "export", "model_dump_json")
"""How the frameworks' own objects say all that they hold."""


class Surface:
    """Keeps arguments of calls into the SDK, what those give back, and the same of calls that the SDK makes to the outside."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    @contextmanager
    def watched(self) -> Iterator["Surface"]:
        """Watch this thread, and those that begin meanwhile."""
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)
        try:
            yield self
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _seen(self, frame: FrameType, event: str, value: Any) -> None:
        caller = frame.f_back
        if event not in {"call", "return"} or caller is None or _is_ours(frame) == _is_ours(caller):
            return
        values = list(frame.f_locals.values()) if event == "call" else [value]
        # An integration may ask what is being raised where it is called.
        self.kept += [whole(each) for each in (*values, sys.exception())]


def whole(value: Any) -> str:
    """All that can be read of a value."""
    if isinstance(value, BaseException):
        inner = [whole(each) for each in (*getattr(value, "exceptions", ()), value.__cause__, value.__context__)]
        return "".join((*traceback.format_exception(value), repr((value.args, vars(value))), *inner))
    said: list[str] = []
    for read in (repr, lambda it: repr(it.metadata), *(methodcaller(name) for name in _DUMPS)):
        with suppress(Exception):  # half made, or without such a method
            said.append(str(read(value)))
    return "\n".join(said)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_SDK)
