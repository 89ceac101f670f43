"""What each answer of the gateway means."""

import json

import pytest

from agenttracer._export.response_action import Action, classify_response
from agenttracer._export.transport import GatewayResponse
from agenttracer.wire.vocabulary import DropReason


def answer(status: int, *, body: bytes = b"", retry_after: str | None = None) -> GatewayResponse:
    return GatewayResponse(status=status, retry_after=retry_after, body=body)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (202, Action.DONE),
        (200, Action.DROP),
        (302, Action.DROP),
        (400, Action.DROP),
        (401, Action.PAUSE),
        (403, Action.PAUSE),
        (404, Action.DROP),
        (408, Action.RETRY),
        (413, Action.SPLIT),
        (422, Action.DROP),
        (429, Action.RETRY),
        (500, Action.RETRY),
        (502, Action.RETRY),
        (503, Action.RETRY),
        (504, Action.RETRY),
    ],
)
def test_status_decides(status: int, action: Action) -> None:
    """Only 202 is success; what may pass by itself is tried again, the rest is not."""
    assert classify_response(answer(status)).action is action


def test_no_answer_is_tried_again() -> None:
    """No answer says nothing about whether the events were taken: the same ones are sent again."""
    assert classify_response(None).action is Action.RETRY


@pytest.mark.parametrize(
    ("status", "retry_after", "wait_s"),
    [
        (429, "7", 7),
        (503, "7", 7),
        (429, "99999", 300),
        (429, "soon", None),
        (429, None, None),
        (500, "7", None),
        (429, "-1", None),
    ],
)
def test_retry_after_is_honoured_up_to_five_minutes(status: int, retry_after: str | None, wait_s: float | None) -> None:
    """Seconds only, of 429 and 503 only."""
    assert classify_response(answer(status, retry_after=retry_after)).wait_s == wait_s


def test_reasons_name_the_cause() -> None:
    """A refused key, a too large event and any other refusal have different reasons."""
    reasons = {status: classify_response(answer(status)).reason for status in (401, 413, 422)}
    assert reasons == {401: DropReason.UNAUTHORIZED, 413: DropReason.TOO_LARGE, 422: DropReason.REFUSED}


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (json.dumps({"accepted": 1, "rejected": [{"index": 2, "code": "name"}]}).encode(), [2]),
        (b'{"rejected": [{"index": true}, {"index": -1}]}', []),
        (b"", []),
        (b"\xff\xfe", []),
        (b"[]", []),
        (b'{"rejected": 3}', []),
        (b'{"rejected": [3]}', []),
        (b"[" * 50_000, []),
    ],
)
def test_refused_items_are_read_and_a_strange_body_refuses_none(body: bytes, refused: list[int]) -> None:
    """The status has said accepted; a body that cannot be read does not take that back."""
    assert classify_response(answer(202, body=body)).refused == refused
