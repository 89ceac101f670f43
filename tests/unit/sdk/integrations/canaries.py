"""Canaries: marked strings to plant where frameworks carry content, and the scanner that looks for them in bytes.

Some have the form of a label, so that they would pass any check of form: only not reading them keeps them in.
"""

import base64
import json
from collections.abc import Iterable


class Canaries:
    """Makes canaries and remembers them."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def text(self) -> str:
        """A sentence."""
        return self._plant(f"please keep canary-{len(self.planted):04d}-q to yourself!")

    def word(self) -> str:
        """A single word, which has the form of a label."""
        return self._plant(f"canary-{len(self.planted):04d}-q")

    def _plant(self, canary: str) -> str:
        self.planted.append(canary)
        return canary

    def found_in(self, haystack: bytes) -> list[str]:
        """The canaries whose mark is there, plainly, in base64 or in hex."""
        return [canary for canary in self.planted if any(form in haystack for form in _forms(_mark(canary)))]


def _mark(canary: str) -> str:
    return canary[canary.index("canary-") :][: len("canary-0000-q")]


def _forms(mark: str) -> Iterable[bytes]:
    raw = mark.encode()
    yield raw
    yield raw.hex().encode()
    yield base64.b64encode(raw).rstrip(b"=")[:-1]


def raw(*payloads: object) -> bytes:
    """What a tracer that keeps everything would send: the control."""
    return json.dumps(payloads, default=repr).encode()
