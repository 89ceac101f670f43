"""Whether all of a request's body is there already: nearly always, and then nobody has to guard the wait for it.

An extension of our connection to ASGI's scope. A server that does not know it never says so, which costs a timer a request.
"""

from collections.abc import MutableMapping
from typing import Any, Final

_BODY_ARRIVED: Final = "agenttracer.body_arrived"
Scope = MutableMapping[str, Any]


def arrived(scope: Scope) -> None:
    """The last byte of this request's body is in memory."""
    scope["extensions"] = {**scope.get("extensions", {}), _BODY_ARRIVED: {}}


def has_arrived(scope: Scope) -> bool:
    """Whether reading the body will not wait."""
    return _BODY_ARRIVED in scope.get("extensions", ())
