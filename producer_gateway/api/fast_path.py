"""The short way for requests that come by the thousand: straight to the route's function, past the framework's machinery.

The routes stay where they are: FastAPI describes them, and every request that does not match method and path exactly takes the
usual way. A route is on the fast path when its function takes the request and nothing else; one that is given a dependency of
FastAPI's leaves it by itself. Middleware that is added to the app later comes first and sees every request.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from producer_gateway.errors import CutOffError
from producer_gateway.process.drain import Drain
from servicekit.http.errors import HttpError

Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request, Exception], Awaitable[Response]]


def fast_endpoints(routers: Iterable[APIRouter]) -> dict[tuple[str, str], Endpoint]:
    """By method and path: the routes that FastAPI would give nothing but the request."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    plain = [route for route in routes if _takes_only_the_request(route)]
    return {(method, route.path): route.endpoint for route in plain for method in route.methods or ()}


def _takes_only_the_request(route: APIRoute) -> bool:
    given = route.dependant
    parameters = (given.path_params, given.query_params, given.header_params, given.cookie_params, given.body_params)
    return given.request_param_name is not None and not any(parameters) and not given.dependencies


class FastPath:
    """ASGI middleware. An HttpError is answered as everywhere; any other exception goes further up.

    So does a cancellation, unless the server cancels at the end of a drain: then the client is told to come again.
    """

    def __init__(self, app: ASGIApp, *, endpoints: Mapping[tuple[str, str], Endpoint], answer: Answer, drain: Drain) -> None:
        self._app = app
        self._endpoints = endpoints
        self._answer = answer
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or a lifespan."""
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request: Request = Request(scope, receive)
        try:
            response: Any = await endpoint(request)
        except HttpError as error:
            response = await self._answer(request, error)
        except asyncio.CancelledError:
            if not self._drain.begun:
                raise
            response = await self._answer(request, CutOffError())
        await response(scope, receive, send)
