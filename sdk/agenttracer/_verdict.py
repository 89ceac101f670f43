"""What the gateway's answer means for the batch that was sent: a table. Pure; whoever sent it acts on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._transport import Answer  # loads HTTP and TLS

RETRY_AFTER_MAX_S: Final = 300.0
"""A gateway cannot silence its agents for longer than that."""


class Action(Enum):
    """What to do next."""

    DONE = auto()
    RETRY = auto()
    SPLIT = auto()
    DROP = auto()
    PAUSE = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait_s` goes with RETRY (None: back off), `reason` with DROP and PAUSE, `refused` (indexes) with DONE."""

    action: Action
    wait_s: float | None = None
    reason: DropReason = DropReason.REFUSED
    refused: Sequence[int] = ()


_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})
_ASKS_FOR_TIME: Final = frozenset({429, 503})
_UNAUTHORIZED: Final = frozenset({401, 403})


def judge(answer: "Answer | None") -> Verdict:
    """What `answer` means; None is no answer at all."""
    if answer is None:
        return Verdict(Action.RETRY)
    status = answer.status
    if status == 202:  # noqa: PLR2004 - the one answer that promises durability
        return Verdict(Action.DONE, refused=_refused(answer.body))
    if status == 413:  # noqa: PLR2004 - content too large
        return Verdict(Action.SPLIT, reason=DropReason.TOO_LARGE)
    if status in _UNAUTHORIZED:
        return Verdict(Action.PAUSE, reason=DropReason.UNAUTHORIZED)
    if status in _TRANSIENT:
        return Verdict(Action.RETRY, wait_s=_seconds(answer.retry_after) if status in _ASKS_FOR_TIME else None)
    # Other successes promise nothing and redirects lead elsewhere: something that is no gateway answered.
    return Verdict(Action.DROP)


def _seconds(retry_after: str | None) -> float | None:
    text = (retry_after or "").strip()
    return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else None


def _refused(body: bytes) -> list[int]:
    """Indexes of events that were refused. An answer that cannot be read refuses none: the status says accepted."""
    try:
        items = json.loads(body)["rejected"]
        indexes = [item["index"] for item in items]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [index for index in indexes if isinstance(index, int) and not isinstance(index, bool) and index >= 0]
