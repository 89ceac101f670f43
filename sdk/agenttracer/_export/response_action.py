"""Maps the gateway's response to the sender's next action: a table. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._export.transport import GatewayResponse  # loads HTTP and TLS

RETRY_AFTER_MAX_S: Final = 300.0
"""A gateway cannot silence its agents for longer than that."""


class Action(Enum):
    """The sender's next action."""

    DONE = auto()
    RETRY = auto()
    SPLIT = auto()
    DROP = auto()
    PAUSE = auto()


@dataclass(frozen=True, slots=True)
class ResponseAction:
    """`wait_s` goes with RETRY (None: back off), `reason` with DROP and PAUSE, `refused` (indexes) with DONE."""

    action: Action
    wait_s: float | None = None
    reason: DropReason = DropReason.REFUSED
    refused: Sequence[int] = ()


_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_WITH_RETRY_AFTER: Final = frozenset({429, 503})
_UNAUTHORIZED: Final = frozenset({401, 403})


def classify_response(response: "GatewayResponse | None") -> ResponseAction:
    """The action for `response`; None is no response at all."""
    if response is None:
        return ResponseAction(Action.RETRY)
    status = response.status
    if status == 202:  # noqa: PLR2004 - the one status that promises durability
        return ResponseAction(Action.DONE, refused=_refused(response.body))
    if status == 413:  # noqa: PLR2004 - content too large
        return ResponseAction(Action.SPLIT, reason=DropReason.TOO_LARGE)
    if status in _UNAUTHORIZED:
        return ResponseAction(Action.PAUSE, reason=DropReason.UNAUTHORIZED)
    if status in _TRANSIENT:
        return ResponseAction(Action.RETRY, wait_s=_seconds(response.retry_after) if status in _WITH_RETRY_AFTER else None)
    # Other successes promise nothing and redirects lead elsewhere: the server is no gateway.
    return ResponseAction(Action.DROP)


def _seconds(retry_after: str | None) -> float | None:
    text = (retry_after or "").strip()
    return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else None


def _refused(body: bytes) -> list[int]:
    """Indexes of events that were refused. A body that cannot be read refuses none: the status says accepted."""
    try:
        items = json.loads(body)["rejected"]
        indexes = [item["index"] for item in items]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [index for index in indexes if isinstance(index, int) and not isinstance(index, bool) and index >= 0]
