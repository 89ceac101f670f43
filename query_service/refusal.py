"""Every answer that is no data has one form, `{"error": {"code", "field"?, "message"}}`, and is made here.

None of them holds anything of the request: FastAPI's own answers echo the input that they refuse.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from query_service.errors import (
    ForbiddenError,
    InputError,
    QueryError,
    QueryTimeoutError,
    RunNotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from query_service.parameters import RULES


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: Annotated[str, Field(description="Stable, for programs.")]
    field: Annotated[str | None, Field(description="The parameter that breaks its rule; absent where none does.")] = None
    message: Annotated[str, Field(description="For people. Never holds what was sent.")]


def _document(error: QueryError) -> dict[str, Any]:
    return {"error": {"code": error.error_code, **({"field": error.field} if error.field else {}), "message": error.message}}


class ErrorAnswer(BaseModel):
    """Every answer that is no data."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_document(InputError("limit must be a whole number from 1 to 500", field="limit"))]}
    )

    error: ErrorDetail


def _documented(description: str, example: QueryError) -> dict[str, Any]:
    return {"model": ErrorAnswer, "description": description, "content": {"application/json": {"example": _document(example)}}}


def _codes(kind: type[QueryError]) -> str:
    return ", ".join(f"`{each.code}`" for each in kind.__subclasses__())


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    401: _documented(
        "No API key, or none that is alive: unknown, malformed, revoked and expired ones are answered alike.",
        UnauthenticatedError(),
    ),
    403: _documented("The API key lacks the scope `read`.", ForbiddenError()),
    422: _documented(
        "A parameter is unknown, repeated or breaks its rule; or statistics of so much are not made (`too_many_figures`).",
        InputError(f"since must be {RULES['since']}", field="since"),
    ),
    500: _documented("A mistake of ours; the log has more.", QueryError("The question was not answered.")),
    503: _documented(
        f"No answer for now; `Retry-After` says when to ask again, `code` why: {_codes(UnavailableError)}.", QueryTimeoutError()
    ),
}
"""For the OpenAPI document of every route."""
NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {404: _documented("There is no run of this id.", RunNotFoundError())}


def install(app: FastAPI, *, retry_after_s: int) -> None:
    """Let every refusal of `app` have the form above."""

    async def unanswered(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, QueryError)
        headers = {"Retry-After": str(retry_after_s)} if isinstance(error, UnavailableError) else error.headers
        return _response(error.status, error, headers=headers)

    app.add_exception_handler(QueryError, unanswered)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _routed_nowhere)
    app.add_exception_handler(Exception, _unexpected)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    field = next((str(part) for problem in error.errors() for part in problem["loc"] if part in RULES), None)
    message = f"{field} must be {RULES[field]}" if field else None
    return _response(InputError.status, InputError(message, field=field))


async def _routed_nowhere(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    problem = QueryError(f"{status.phrase}; see /openapi.json", code=status.phrase.lower().replace(" ", "_"))
    return _response(status, problem, headers=error.headers)


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return _response(500, QueryError())  # the server logs it, without its text


def _response(status: int, error: QueryError, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(_document(error), status_code=status, headers=dict(headers or {}))
