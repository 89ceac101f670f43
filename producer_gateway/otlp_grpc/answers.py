"""Errors as gRPC says them: a code, a message of our own words, and how long to wait where the same may be sent again."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import grpc

from producer_gateway.otlp.responses import field
from servicekit.http.errors import HttpError, UnavailableError

CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.UNAVAILABLE,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""By the HTTP status that the same error has. Clients send again what is UNAVAILABLE, and nothing else that stands here."""
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"


class Answer(NamedTuple):
    """What a refused call ends with."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def refusal(error: HttpError, *, wait_s: int | None) -> Answer:
    """The error in gRPC's words. `wait_s` stands in the trailers where both kinds of clients look for it."""
    code = CODES.get(error.status, grpc.StatusCode.INTERNAL)
    message = f"{error.error_code}: {error.message}"
    if wait_s is None or not isinstance(error, UnavailableError):
        return Answer(code, message, ())
    retry = field(1, field(1, wait_s))  # google.rpc.RetryInfo, a google.protobuf.Duration
    number = int(code.value[0])
    status = field(1, number) + field(2, message) + field(3, field(1, _RETRY_INFO) + field(2, retry))  # google.rpc.Status
    return Answer(code, message, (("grpc-status-details-bin", status), ("google.rpc.retryinfo-bin", retry)))
