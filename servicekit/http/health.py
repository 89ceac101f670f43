"""The three pages that every service has: `/health` (live), `/ready` (will do its work now), `/metrics` (Prometheus)."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Readiness = Callable[[], Awaitable[str | None]]
"""Answers None when the service will do its work now, else a code that says why not (`kafka_unreachable`, …)."""


def health_router(*, readiness: Readiness) -> APIRouter:
    """`/health` and `/ready`: for balancers, on the port that they send requests to."""
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="Is the process alive?")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/ready", summary="Will it do its work now?", responses={503: {"description": "Not ready; `reason` says why."}})
    async def ready() -> JSONResponse:
        reason = await readiness()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not_ready", "reason": reason}, status_code=503)

    return router


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """`/metrics`, which shows which project sends how much: for a port that the public does not reach."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
