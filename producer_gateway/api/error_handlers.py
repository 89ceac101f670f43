"""The gateway's errors as answers: counted, with a Retry-After that spreads clients, and in OTLP's form where OTLP was spoken."""

import random
from collections.abc import Mapping
from typing import Protocol

from fastapi import Request
from starlette.responses import JSONResponse, Response

from producer_gateway.metrics import GatewayMetrics
from servicekit.http.error_handlers import ErrorHandlers
from servicekit.http.errors import HttpError, UnavailableError
from servicekit.logs import Log


class Render(Protocol):
    """Makes the error answers of a route that has a form of its own. `message` is made from codes and constant sentences."""

    def __call__(self, *, status: int, message: str, headers: Mapping[str, str]) -> Response:
        """The whole answer."""


def render_with(request: Request, render: Render) -> None:
    """Answer every error of `request` from here on through `render`."""
    request.state.render = render


def with_jitter(least_s: int, *, after_s: int = 0) -> str:
    """Whole seconds for a Retry-After header: `least_s` to three times that, on top of `after_s`.

    Without jitter all clients that were refused together would come back together.
    """
    return str(after_s + random.randint(least_s, 3 * least_s))  # noqa: S311 - jitter


class GatewayErrorHandlers(ErrorHandlers):
    """The gateway's own."""

    def __init__(
        self,
        *,
        retry_after_s: int,
        metrics: GatewayMetrics,
    ) -> None:
        super().__init__(Log("gateway"))
        self._least_s = retry_after_s
        self._metrics = metrics

    def retry_after(self, error: UnavailableError) -> str:
        """With jitter."""
        return with_jitter(self._least_s, after_s=error.least_s)

    def respond(self, request: Request, error: HttpError, *, status: int, headers: Mapping[str, str]) -> Response:
        """Counted by code."""
        self._metrics.requests_refused.labels(error.error_code).inc()
        render: Render | None = getattr(request.state, "render", None)
        if render is None:
            return JSONResponse(error.members(), status_code=status, headers=headers)
        return render(status=status, message=f"{error.error_code}: {error.message}", headers=headers)
