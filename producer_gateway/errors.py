"""The errors that the gateway answers with when it does not accept. Those of connections and API keys are servicekit's.

HttpError
├── RefusedError                for the client to mend; the same again gets the same answer
│   ├── NotJsonError            400
│   ├── NotProtobufError        400 OTLP alone, as are the next two
│   ├── NotOtlpError            400
│   ├── BadCompressionError     400
│   ├── UnknownVersionError     400
│   ├── BodyTooLargeError       413
│   ├── WrongContentTypeError   415
│   ├── UnknownEncodingError    415
│   ├── UnprocessableError      422 by field and rule; may list refused items
│   └── TooManyMisfitsError     422
├── UnavailableError            503 with Retry-After: the outcome is unknown, or nothing was done
│   ├── OverloadedError         too much is in flight
│   ├── RateLimitedError        429: the project has sent more than it may
│   ├── CutOffError             this process ends and could not wait for the outcome
│   ├── LogUnavailableError     the log did not acknowledge in time, or is known not to
│   ├── NamesUnavailableError   it is not known which names projects allow
│   └── NameKeyMissingError     the project is closed, and this gateway has no key for pseudonyms
└── ClientGoneError             the client left before its answer

A default message is its class's docstring. Messages are constant or made of our own fields and rules: no value that was received
ever stands in one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from agenttracer.wire.envelope import SUPPORTED
from producer_gateway.rules import in_words
from servicekit.http.errors import HttpError, UnavailableError


class RefusedError(HttpError):
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
    """The body breaks a rule of the contract; see the OpenAPI document."""

    status = 422
    code = "unprocessable"

    def __init__(
        self,
        *,
        code: str | None = None,
        field: str | None = None,
        rule: str | None = None,
        rejected: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """`rule` says what the field must be, where that is more than `code` tells by itself."""
        words = rule or in_words(field or "", code or "")
        super().__init__(f"{field or 'The body'} {words}." if words else None, code=code, field=field)
        self.rejected = rejected

    def members(self) -> dict[str, object]:
        """The JSON answer, with the refused items where there are any."""
        return super().members() if self.rejected is None else {**super().members(), "rejected": self.rejected}


class TooManyMisfitsError(RefusedError):
    """More than a thousand events or values of the body break a rule of the contract: mend the sender."""

    status = 422
    code = "too_many_misfits"

    def __init__(self, *, examined: int) -> None:
        """`examined`: how many events and values were looked at."""
        super().__init__()
        self.examined = examined


class NotProtobufError(RefusedError):
    """The body is not an ExportTraceServiceRequest in protobuf."""

    code = "protobuf"


class NotOtlpError(RefusedError):
    """The body is not an ExportTraceServiceRequest in OTLP's JSON."""

    code = "otlp_json"


class OverloadedError(UnavailableError):
    """Too much is in flight: send the same events, with the same ids, after Retry-After seconds."""

    code = "overloaded"


class RateLimitedError(UnavailableError):
    """This project has sent more than it may: send the same events, with the same ids, after Retry-After seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, *, wait_s: float) -> None:
        super().__init__()
        self.least_s = math.ceil(wait_s)


class CutOffError(UnavailableError):
    """This process is ending: send the same events, with the same ids, after Retry-After seconds."""

    code = "ending"


class LogUnavailableError(UnavailableError):
    """The log did not acknowledge: send the same events, with the same ids, after Retry-After seconds."""

    code = "log_unavailable"


class NamesUnavailableError(UnavailableError):
    """The registry of names cannot be read now: send the same events, with the same ids, after Retry-After seconds."""

    code = "names_unavailable"


class NameKeyMissingError(UnavailableError):
    """This project is closed, and the gateway has no AGENTTRACER_GATEWAY_NAME_KEY to make pseudonyms with: tell its operator."""

    code = "name_key_missing"


class ClientGoneError(HttpError):
    """The client left before its request was complete."""

    status = 400
    code = "client_gone"
