"""The errors that a service answers with.

HttpError
├── HeadTooLargeError       431
├── MalformedRequestError   400
├── Http2Error              400
├── SlowHeadError           408
├── SlowBodyError           408
└── UnavailableError        503 with Retry-After
    └── TooManyConnectionsError

Those named here are of connections. Each service has a tree of its own below `HttpError` for what its requests can do wrong;
`servicekit.auth.errors` has those of API keys.
"""

from collections.abc import Mapping
from typing import ClassVar


class HttpError(Exception):
    """Something was not done. The default message is the first line of the class's docstring.

    Messages are constant or made of names and rules of our own, `code` and `field` of the contract's words: no value that was
    received ever stands in one.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str | None = None, *, code: str | None = None, field: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.error_code = code or type(self).code
        self.field = field
        super().__init__(self.message)

    def __str__(self) -> str:
        """The code, which is more precise than the message where one class has several."""
        return self.error_code

    def members(self) -> dict[str, object]:
        """The answer as JSON members."""
        return {"error": {"code": self.error_code, "field": self.field, "message": self.message}}


class HeadTooLargeError(HttpError):
    """The address and headers of the request are larger than this service takes."""

    status = 431
    code = "head_too_large"


class MalformedRequestError(HttpError):
    """The bytes are not an HTTP request, or too many requests were sent without waiting for answers."""

    status = 400
    code = "malformed_request"


class Http2Error(HttpError):
    """HTTP/2 is not spoken here: use HTTP/1.1."""

    status = 400
    code = "http2"


class SlowHeadError(HttpError):
    """The head of the request did not arrive in time."""

    status = 408
    code = "slow_head"


class SlowBodyError(HttpError):
    """The body did not arrive in time."""

    status = 408
    code = "slow_body"
    headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class UnavailableError(HttpError):
    """Not possible for now: try again after Retry-After seconds."""

    status = 503
    code = "unavailable"
    least_s: int = 0
    """The shortest wait that can help, where that is known."""


class TooManyConnectionsError(UnavailableError):
    """Too many connections are open: try again after Retry-After seconds."""

    code = "too_many_connections"
