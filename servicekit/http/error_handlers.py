"""Errors to answers, in one form for all services: `{"error": {"code", "field", "message"}}`.

Nothing of the request is in them. The frameworks' own answers echo the input that they refuse, and are replaced here.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from servicekit.http.errors import HttpError, UnavailableError
from servicekit.logs import Log, error_class


class ErrorDetail(BaseModel):
    """The error, in words that never repeat what was sent."""

    code: Annotated[str, Field(description="Stable, for programs.")]
    field: Annotated[
        str | None, Field(description="The member or parameter that breaks its rule; null or absent where none does.")
    ] = None
    message: Annotated[str, Field(description="For people. Never holds what was sent.")]


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: ErrorDetail


class ErrorHandlers:
    """Makes the answer to every error of an app. A service's subclass has its own words, headers and metrics."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def install(self, app: FastAPI) -> None:
        """Make `app` answer every error through these handlers."""
        app.add_exception_handler(HttpError, self.refusal)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(RequestValidationError, self._validation)
        app.add_exception_handler(Exception, self._unexpected)

    async def refusal(self, request: Request, error: Exception) -> Response:
        """The answer to an HttpError."""
        assert isinstance(error, HttpError)
        headers = dict(error.headers)
        if isinstance(error, UnavailableError):
            headers["Retry-After"] = self.retry_after(error)
        return self.respond(request, error, status=error.status, headers=headers)

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        found, headers = self.no_route(request, status), dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
            headers["Allow"] = ", ".join(methods)
        return self.respond(request, found, status=status, headers=headers)

    async def _validation(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return self.respond(request, self.invalid(error), status=HTTPStatus.UNPROCESSABLE_ENTITY, headers={})

    async def _unexpected(self, request: Request, error: Exception) -> Response:
        self._log.error("unexpected_error", error_class=error_class(error))
        return self.respond(request, self.internal(), status=HTTPStatus.INTERNAL_SERVER_ERROR, headers={})

    # --- what services answer in words of their own

    def retry_after(self, error: UnavailableError) -> str:
        """The value of Retry-After, in seconds."""
        raise NotImplementedError

    def no_route(self, request: Request, status: HTTPStatus) -> HttpError:  # noqa: ARG002 - for subclasses
        """The answer where no route takes the path or the method."""
        return HttpError(f"{status.phrase}.", code=code_of(status))

    def invalid(self, error: RequestValidationError) -> HttpError:  # noqa: ARG002 - for subclasses
        """The answer where a parameter breaks its rule."""
        return HttpError(f"{HTTPStatus.UNPROCESSABLE_ENTITY.phrase}.", code="refused")

    def internal(self) -> HttpError:
        """The answer to a mistake of ours."""
        return HttpError(f"{HTTPStatus.INTERNAL_SERVER_ERROR.phrase}.")

    def respond(self, request: Request, error: HttpError, *, status: int, headers: Mapping[str, str]) -> Response:  # noqa: ARG002 - as above
        """The whole answer."""
        return JSONResponse(error.members(), status_code=status, headers=headers)


def code_of(status: HTTPStatus) -> str:
    """The code of a status: `not_found`, `method_not_allowed`."""
    return status.phrase.lower().replace(" ", "_")


def _methods(request: Request) -> list[str]:
    """Every method of the path: the framework names those of the path's first route alone."""
    operations = request.app.openapi()["paths"].get(request.url.path, {})
    return sorted(method.upper() for method in operations)
