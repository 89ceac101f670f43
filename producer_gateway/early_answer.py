"""Answers to requests that no route has seen, as they go over the wire: in the form that the route would have given them."""

from typing import Final

from producer_gateway.arrival import Scope
from producer_gateway.errors import GatewayError, UnavailableError
from producer_gateway.otlp import answer
from producer_gateway.retry_after import retry_after_s
from servicekit.head_bounds import json_answer, last_answer

_OTLP: Final = "/v1/traces"


def early_answer(error: GatewayError, *, scope: Scope | None, least_s: int) -> bytes:
    """`scope` is the request's, None where its head is not whole. After `least_s` at the earliest its client may come again."""
    headers = {"retry-after": retry_after_s(least_s)} if isinstance(error, UnavailableError) else {}
    if scope is None or scope["path"] != _OTLP:
        return json_answer(error.status, error.members(), headers=headers)
    encoding = answer.encoding_of(dict(scope["headers"]).get(b"content-type", b"").decode("latin-1"))
    body = answer.status_body(encoding, status=error.status, message=f"{error.error_code}: {error.message}")
    return last_answer(error.status, body, media_type=encoding, headers=headers)
