"""The errors that the query service answers with. Those of connections and API keys are servicekit's.

HttpError
├── QueryError                  500: a mistake of ours
│   ├── InputError              422: a parameter is unknown, repeated or breaks its rule; the same again gives the same
│   ├── TooManyFiguresError     422: statistics of so much are not made; a narrower question is answered
│   ├── RunNotFoundError        404: the project has no such run, or none that it may see
│   ├── StepNotFoundError       404: the run has no such step
│   └── FailureNotFoundError    404: the project has no such kind of failure
└── UnavailableError            503 with Retry-After: nothing is wrong with the question
    ├── StoreUnreachableError   Postgres does not take connections, or lost ours
    ├── StoreBusyError          every connection is in use
    ├── ProjectBusyError        the project has as many questions open as it may; others are answered
    ├── StoreNotReadyError      reached, but the schema or our rights are missing
    ├── PagesNotBuiltError      the API works, but the pages for people were never built
    └── QueryTimeoutError       the answer takes too long: a narrower question may be answered

A default message is its class's docstring. Messages are constant or made of parameter names and rules of our own: no value
that was received ever stands in one.
"""

from servicekit.http.errors import HttpError, UnavailableError


class QueryError(HttpError):
    """The question was not answered."""


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


class StepNotFoundError(QueryError):
    """The run has no step of this id."""

    status = 404
    code = "step_not_found"


class FailureNotFoundError(QueryError):
    """There is no failure of this fingerprint."""

    status = 404
    code = "failure_not_found"


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


class QueryTimeoutError(UnavailableError):
    """The answer takes too long: narrow the window or the filters, or ask again after Retry-After seconds."""

    code = "query_timeout"


class PagesNotBuiltError(UnavailableError):
    """The pages are not built: run `make setup` in the checkout. The API works without them."""

    code = "pages_not_built"
