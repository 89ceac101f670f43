"""The answers to requests whose API key does not open what they ask for.

HttpError
├── UnauthenticatedError          401: no API key, or none that is alive; the answer does not tell which
├── ForbiddenError                403: a good key without the scope
└── UnavailableError
    └── KeysUnavailableError      503: keys cannot be checked now
"""

from collections.abc import Mapping
from typing import ClassVar

from servicekit.http.errors import HttpError, UnavailableError


class UnauthenticatedError(HttpError):
    """A live API key is needed: `Authorization: Bearer <key>` or `X-Api-Key: <key>`."""

    status = 401
    code = "unauthenticated"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(HttpError):
    """The API key lacks the scope that is needed here."""

    status = 403
    code = "wrong_scope"


class KeysUnavailableError(UnavailableError):
    """API keys cannot be checked now: try again after Retry-After seconds."""

    code = "keys_unavailable"
