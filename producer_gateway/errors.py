"""What the gateway answers when it does not accept.

GatewayError
├── RefusedError                the client's to mend; the same again gets the same answer
│   ├── NotJsonError            400
│   ├── MalformedRequestError   400 not HTTP, or requests sent ahead of their turn
│   ├── Http2Error              400 HTTP/2, which gRPC needs
│   ├── BadCompressionError     400
│   ├── UnknownVersionError     400
│   ├── UnauthenticatedError    401
│   ├── ForbiddenError          403
│   ├── SlowHeadError           408
│   ├── SlowBodyError           408
│   ├── BodyTooLargeError       413
│   ├── WrongContentTypeError   415
│   ├── UnknownEncodingError    415
│   ├── UnprocessableError      422 by field and rule; may list refused items
│   └── HeadTooLargeError       431
├── UnavailableError            503 with Retry-After: the outcome is unknown, or nothing was done
│   ├── OverloadedError         too much is in flight
│   ├── KeysUnavailableError    keys cannot be told apart now
│   ├── RateLimitedError        429: the key has sent more than it may
│   ├── TooManyConnectionsError too many are open, and none of them can be spared
│   ├── CutOffError             this process ends and could not wait for the outcome
│   └── LogUnavailableError     the log did not acknowledge in time, or is known not to
└── ClientGoneError             nobody is left to answer

A default message is its class's docstring. Messages are constant: no value that was received ever stands in one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from agenttracer.wire.envelope import SUPPORTED
from servicekit.http_error import HttpError


class GatewayError(HttpError):
    """The request was not accepted. `code` and `field` are made from the contract's own words."""

    def __str__(self) -> str:
        """The code, which tells more than the message where one class has several."""
        return self.error_code

    def members(self) -> dict[str, object]:
        """The JSON answer."""
        return {"error": {"code": self.error_code, "field": self.field, "message": self.message}}


class RefusedError(GatewayError):
    """The request cannot be accepted as it is."""

    status = 400
    code = "refused"


class NotJsonError(RefusedError):
    """The body is not one JSON value in UTF-8."""

    code = "json"


class BadCompressionError(RefusedError):
    """The body is not exactly one gzip member or zstd frame, as its Content-Encoding says."""

    code = "compression"


class UnknownVersionError(RefusedError):
    """This gateway does not read that version; `supported` says which it does."""

    code = "unsupported_version"

    def members(self) -> dict[str, object]:
        """The JSON answer, with the supported range."""
        return {**super().members(), "supported": SUPPORTED}


class UnauthenticatedError(RefusedError):
    """A live API key is needed: `Authorization: Bearer <key>` or `X-Api-Key: <key>`."""

    status = 401
    code = "unauthenticated"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(RefusedError):
    """The API key lacks the scope `ingest`."""

    status = 403
    code = "wrong_scope"


class MalformedRequestError(RefusedError):
    """The bytes are not an HTTP request, or too many requests were sent without waiting for answers."""

    code = "malformed_request"


class Http2Error(RefusedError):
    """HTTP/2, and with it gRPC, is not spoken here: set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf."""

    code = "http2"


class SlowHeadError(RefusedError):
    """The head of the request did not arrive in time."""

    status = 408
    code = "slow_head"


class HeadTooLargeError(RefusedError):
    """The address and headers of the request are larger than this gateway takes."""

    status = 431
    code = "head_too_large"


class SlowBodyError(RefusedError):
    """The body did not arrive in time."""

    status = 408
    code = "slow_body"
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class BodyTooLargeError(RefusedError):
    """The body is larger than this gateway takes: split it."""

    status = 413
    code = "body_too_large"
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class WrongContentTypeError(RefusedError):
    """The Content-Type must be application/json, or for OTLP application/x-protobuf."""

    status = 415
    code = "content_type"


class UnknownEncodingError(RefusedError):
    """The Content-Encoding must be identity, or one layer of gzip or zstd."""

    status = 415
    code = "content_encoding"
    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "gzip, zstd"}


class UnprocessableError(RefusedError):
    """The named field breaks the named rule of the contract; see the OpenAPI document."""

    status = 422
    code = "unprocessable"

    def __init__(
        self, *, code: str | None = None, field: str | None = None, rejected: Sequence[Mapping[str, object]] | None = None
    ) -> None:
        super().__init__(code=code, field=field)
        self.rejected = rejected

    def members(self) -> dict[str, object]:
        """The JSON answer, with the refused items where there are any."""
        return super().members() if self.rejected is None else {**super().members(), "rejected": self.rejected}


class UnavailableError(GatewayError):
    """Not accepted for now: send the same events, with the same ids, after Retry-After seconds."""

    status = 503
    code = "unavailable"
    least_s: int = 0
    """What to wait at the least, where that is known."""


class OverloadedError(UnavailableError):
    """Too much is in flight: send the same events, with the same ids, after Retry-After seconds."""

    code = "overloaded"


class KeysUnavailableError(UnavailableError):
    """API keys cannot be checked now: send the same events, with the same ids, after Retry-After seconds."""

    code = "keys_unavailable"


class RateLimitedError(UnavailableError):
    """This key has sent more than it may: send the same events, with the same ids, after Retry-After seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, *, wait_s: float) -> None:
        super().__init__()
        self.least_s = math.ceil(wait_s)


class TooManyConnectionsError(UnavailableError):
    """Too many connections are open: send the same events, with the same ids, after Retry-After seconds."""

    code = "too_many_connections"


class CutOffError(UnavailableError):
    """This process is ending: send the same events, with the same ids, after Retry-After seconds."""

    code = "ending"


class LogUnavailableError(UnavailableError):
    """The log did not acknowledge: send the same events, with the same ids, after Retry-After seconds."""

    code = "log_unavailable"


class ClientGoneError(GatewayError):
    """The client left before its request was complete."""

    status = 400
    code = "client_gone"
