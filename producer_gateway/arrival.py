"""What our connection knows of a request's body: whether all of it is there, as nearly always, and since when it is awaited.

An extension of our connection to ASGI's scope. A server that does not know it never says so, which costs a timer a request.
"""

import time
from collections.abc import MutableMapping
from typing import Any, Final

_BODY_ARRIVED: Final = "agenttracer.body_arrived"
_BODY_AWAITED: Final = "agenttracer.body_awaited"
Scope = MutableMapping[str, Any]


def arrived(scope: Scope) -> None:
    """The last byte of this request's body is in memory."""
    _extend(scope, _BODY_ARRIVED, {})


def has_arrived(scope: Scope) -> bool:
    """Whether reading the body will not wait."""
    return _BODY_ARRIVED in scope.get("extensions", ())


def awaited(scope: Scope, *, since: float) -> None:
    """The body did not come along with the head, which was there then (monotonic, s)."""
    _extend(scope, _BODY_AWAITED, {"since": since})


def begun_at(scope: Scope) -> float:
    """When the head was there (monotonic, s); now, where nothing else is known."""
    told = scope.get("extensions", {}).get(_BODY_AWAITED)
    return float(told["since"]) if told else time.monotonic()


def _extend(scope: Scope, name: str, members: dict[str, object]) -> None:
    scope["extensions"] = {**scope.get("extensions", {}), name: members}
