"""What the query service answers instead of data.

QueryError
├── UnauthenticatedError    401: no API key, or none that is alive; nobody is told which
├── ForbiddenError          403: a good key for something else
├── InputError              422: a parameter is unknown, repeated or breaks its rule; the same again gives the same
├── TooManyFiguresError     422: statistics of so much are not made; a narrower question is answered
├── RunNotFoundError        404: the project has no such run, or none that it may see
└── UnavailableError        503 with Retry-After: nothing is wrong with the question
    ├── StoreUnreachableError   Postgres does not take connections, or lost ours
    ├── StoreBusyError          every connection is in use
    ├── ProjectBusyError        the project has as many questions open as it may; others are answered
    ├── StoreNotReadyError      reached, but the schema or our rights are missing
    ├── KeysUnavailableError    API keys cannot be told apart now
    └── QueryTimeoutError       the answer takes too long: a narrower question may be answered

A default message is its class's docstring. Messages are constant or made of parameter names and rules of our own: no value
that was received ever stands in one.
"""

from collections.abc import Mapping
from typing import ClassVar

from servicekit.http_error import HttpError


class QueryError(HttpError):
    """The question was not answered."""


class UnauthenticatedError(QueryError):
    """A live API key is needed: `Authorization: Bearer <key>` or `X-Api-Key: <key>`."""

    status = 401
    code = "unauthenticated"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(QueryError):
    """The API key lacks the scope `read`."""

    status = 403
    code = "wrong_scope"


class InputError(QueryError):
    """The named parameter breaks its rule."""

    status = 422
    code = "invalid_parameter"


class TooManyFiguresError(QueryError):
    """The window holds too many different figures: narrow it, or give agent_id or agent_version."""

    status = 422
    code = "too_many_figures"


class RunNotFoundError(QueryError):
    """There is no run of this id."""

    status = 404
    code = "run_not_found"


class UnavailableError(QueryError):
    """No answer for now: ask again after Retry-After seconds."""

    status = 503
    code = "unavailable"


class StoreUnreachableError(UnavailableError):
    """The store cannot be reached: ask again after Retry-After seconds."""

    code = "store_unreachable"


class StoreBusyError(UnavailableError):
    """Too many questions at once: ask again after Retry-After seconds."""

    code = "store_busy"


class ProjectBusyError(UnavailableError):
    """This project asks too much at once: ask again after Retry-After seconds."""

    code = "project_busy"


class StoreNotReadyError(UnavailableError):
    """The store is reachable, but its schema or this service's rights in it are missing: run the migrations."""

    code = "store_not_ready"


class KeysUnavailableError(UnavailableError):
    """API keys cannot be checked now: ask again after Retry-After seconds."""

    code = "keys_unavailable"


class QueryTimeoutError(UnavailableError):
    """The answer takes too long: narrow the window or the filters, or ask again after Retry-After seconds."""

    code = "query_timeout"
