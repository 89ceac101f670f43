"""An extension of ASGI's scope: whether all of a request's body has arrived, as nearly always, and since when it is awaited.

`uvicorn_protocol` sets it. Under a server that does not, every request costs a timer.
"""

import time
from typing import Final

from starlette.types import Scope

_BODY_ARRIVED: Final = "agenttracer.body_arrived"
_BODY_AWAITED: Final = "agenttracer.body_awaited"


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
    awaited_since = scope.get("extensions", {}).get(_BODY_AWAITED)
    return float(awaited_since["since"]) if awaited_since else time.monotonic()


def _extend(scope: Scope, name: str, members: dict[str, object]) -> None:
    scope["extensions"] = {**scope.get("extensions", {}), name: members}
