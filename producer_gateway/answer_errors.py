"""Errors to answers: one form for all, made from codes. The frameworks' own error pages echo input and are replaced here."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from producer_gateway.errors import GatewayError, UnavailableError
from producer_gateway.metrics import Metrics
from producer_gateway.retry_after import retry_after_s
from servicekit.logs import Log, error_class

_LOG: Final = Log("gateway")
_CODES: Final[Mapping[int, str]] = {404: "not_found", 405: "method_not_allowed"}


class Render(Protocol):
    """How a route that has answers of its own says an error. `message` is made from codes and constant sentences."""

    def __call__(self, *, status: int, message: str, headers: Mapping[str, str]) -> Response:
        """The whole answer."""


def render_with(request: Request, render: Render) -> None:
    """Answer whatever goes wrong with `request` from here on through `render`."""
    request.state.render = render


class ErrorAnswers:
    """Handlers that `install` gives to an app."""

    def __init__(
        self, *, retry_after_s: int, metrics: Metrics, why_not_found: Callable[[Request], GatewayError | None] = lambda _: None
    ) -> None:
        self._retry_after_s = retry_after_s
        self._metrics = metrics
        self._why_not_found = why_not_found

    def install(self, app: FastAPI) -> None:
        """Make `app` answer every error through these handlers."""
        app.add_exception_handler(GatewayError, self.refusal)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(RequestValidationError, self._validation)
        app.add_exception_handler(Exception, self._unexpected)

    async def refusal(self, request: Request, error: Exception) -> Response:
        """The answer to a GatewayError."""
        assert isinstance(error, GatewayError)
        self._metrics.requests_refused.labels(error.error_code).inc()
        headers = dict(error.headers)
        if isinstance(error, UnavailableError):
            headers["Retry-After"] = retry_after_s(self._retry_after_s, after_s=error.least_s)
        return _answer(request, error.members(), status=error.status, headers=headers)

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.NOT_FOUND and (why := self._why_not_found(request)) is not None:
            return await self.refusal(request, why)
        return self._plain(request, error.status_code, headers=error.headers)

    async def _validation(self, request: Request, _: Exception) -> Response:
        return self._plain(request, HTTPStatus.UNPROCESSABLE_ENTITY)

    async def _unexpected(self, request: Request, error: Exception) -> Response:
        _LOG.error("unexpected_error", error_class=error_class(error))
        return self._plain(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _plain(self, request: Request, status: int, *, headers: Mapping[str, str] | None = None) -> Response:
        code = _CODES.get(status, "internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused")
        self._metrics.requests_refused.labels(code).inc()
        message = HTTPStatus(status).phrase + "."
        return _answer(
            request, {"error": {"code": code, "field": None, "message": message}}, status=status, headers=headers or {}
        )


def _answer(request: Request, members: dict[str, Any], *, status: int, headers: Mapping[str, str]) -> Response:
    render: Render | None = getattr(request.state, "render", None)
    if render is None:
        return JSONResponse(members, status_code=status, headers=headers)
    error = members["error"]
    return render(status=status, message=f"{error['code']}: {error['message']}", headers=headers)
