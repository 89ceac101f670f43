"""The normal form of an error's class, in whatever language it was written, and whether a word is a class or a code."""

import re
from typing import Final

from agenttracer.wire import form

_CHARS_MAX: Final = 512
_GENERIC: Final = re.compile(r"`[0-9]+.*|[<\[(].*", re.DOTALL)
_DOM_EXCEPTIONS: Final = {
    "8": "NotFoundError",
    "19": "NetworkError",
    "20": "AbortError",
    "22": "QuotaExceededError",
    "23": "TimeoutError",
}
"""Codes of DOMException: JavaScript's SDK says an error's code in place of its class, where it has one."""
_CODE: Final = re.compile(r"[a-z][a-z0-9_-]*|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|E[A-Z0-9]{3,}|[0-9]+")


def error_class(text: object) -> str | None:
    r"""The class as a name, without what its language puts around it; None where it is none.

    `*net.OpError` (Go) is `net.OpError`, `com.x.Client$Refused` (Java) `com.x.Client.Refused`, ``Refused`1`` (.NET) `Refused`,
    `App\Refused` (PHP) `App.Refused`, `__main__.f.<locals>.Refused` (Python) `f.Refused`.
    """
    if not isinstance(text, str) or not text or len(text) > _CHARS_MAX:
        return None
    plain = text.strip().replace("<locals>.", "").replace("<lambda>.", "").removeprefix("__main__.")
    plain = plain.partition("@anonymous")[0] if "@anonymous" in plain else plain
    plain = _GENERIC.sub("", plain.lstrip("*&_\\?")).replace("$", ".").replace("\\", ".").rstrip(".")
    plain = _DOM_EXCEPTIONS.get(plain, plain)
    if len(plain) > form.NAME_MAX_CHARS:
        plain = re.split(r"[./]", plain)[-1]
    return plain if form.is_name(plain) else None


def is_code(name: str) -> bool:
    """Whether a word is a code rather than a class: `rate_limit_exceeded`, `ECONNREFUSED`, `429`."""
    return _CODE.fullmatch(name) is not None
