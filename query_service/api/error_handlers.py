"""The query service's errors as answers: `{"error": {"code", "field"?, "message"}}`, and as examples for the OpenAPI document."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from query_service.api.parameters import RULES
from query_service.errors import (
    FailureNotFoundError,
    InputError,
    ProjectBusyError,
    QueryError,
    QueryTimeoutError,
    RunNotFoundError,
    StepNotFoundError,
    StoreBusyError,
    StoreNotReadyError,
    StoreUnreachableError,
)
from servicekit.auth.errors import ForbiddenError, KeysUnavailableError, UnauthenticatedError
from servicekit.http.error_handlers import ErrorAnswer, ErrorHandlers, code_of
from servicekit.http.errors import HttpError, UnavailableError
from servicekit.logs import Log

_REASONS_TO_WAIT: Final = (
    StoreUnreachableError,
    StoreBusyError,
    ProjectBusyError,
    StoreNotReadyError,
    KeysUnavailableError,
    QueryTimeoutError,
)


class QueryErrorHandlers(ErrorHandlers):
    """A client that came too early waits `retry_after_s`."""

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(Log("query"))
        self._retry_after = str(retry_after_s)

    def retry_after(self, error: UnavailableError) -> str:  # noqa: ARG002 - the same for all
        """See ErrorHandlers."""
        return self._retry_after

    def no_route(self, request: Request, status: HTTPStatus) -> HttpError:  # noqa: ARG002 - as above
        """See ErrorHandlers."""
        return QueryError(f"{status.phrase}; see /openapi.json", code=code_of(status))

    def invalid(self, error: RequestValidationError) -> HttpError:
        """The first parameter that breaks its rule."""
        field = next((str(part) for problem in error.errors() for part in problem["loc"] if part in RULES), None)
        return InputError(f"{field} must be {RULES[field]}" if field else None, field=field)

    def internal(self) -> HttpError:
        """See ErrorHandlers."""
        return QueryError()

    def respond(self, request: Request, error: HttpError, *, status: int, headers: Mapping[str, str]) -> JSONResponse:  # noqa: ARG002 - as above
        """See ErrorHandlers."""
        return JSONResponse(_members(error), status_code=status, headers=dict(headers))


def _members(error: HttpError) -> dict[str, Any]:
    return {"error": {"code": error.error_code, **({"field": error.field} if error.field else {}), "message": error.message}}


def _documented(description: str, example: HttpError) -> dict[str, Any]:
    return {"model": ErrorAnswer, "description": description, "content": {"application/json": {"example": _members(example)}}}


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    401: _documented(
        "No API key, or none that is alive: unknown, malformed, revoked and expired ones are answered alike.",
        UnauthenticatedError(),
    ),
    403: _documented("The API key lacks the scope `read`.", ForbiddenError("The API key lacks the scope `read`.")),
    422: _documented(
        "A parameter is unknown, repeated or breaks its rule; or statistics of so much are not made (`too_many_figures`).",
        InputError(f"since must be {RULES['since']}", field="since"),
    ),
    500: _documented("A mistake of ours; the log has more.", QueryError("The question was not answered.")),
    503: _documented(
        "No answer for now; `Retry-After` says when to ask again, `code` why: "
        + ", ".join(f"`{each.code}`" for each in _REASONS_TO_WAIT)
        + ".",
        QueryTimeoutError(),
    ),
}
"""For the OpenAPI document of every route."""
STEP_NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {
    404: _documented("There is no such run (`run_not_found`), or it has no such step (`step_not_found`).", StepNotFoundError())
}
FAILURE_NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {
    404: _documented("There is no failure of this fingerprint.", FailureNotFoundError())
}
NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {404: _documented("There is no run of this id.", RunNotFoundError())}
