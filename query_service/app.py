"""The application: routes, refusals, metrics and the store's life put together. No module-level instance, no settings read."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from fastapi import FastAPI

from query_service import refusal
from query_service.metrics import CountRequests, Metrics
from query_service.postgres import Postgres
from query_service.project import anonymous
from query_service.reader import StoreReader
from query_service.runs import runs_router
from query_service.settings import QuerySettings
from query_service.stats import Clock, stats_router, utc_now
from query_service.store import PostgresReader
from servicekit.health import health_router
from servicekit.logs import Log
from servicekit.loop_errors import report_to

_DESCRIPTION: Final = (
    "How the runs of AI agents behaved. Times are ISO 8601 in UTC, durations milliseconds. "
    "What agents read or wrote is not here: it was never stored."
)
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    settings: QuerySettings, store: StoreReader, *, clock: Clock = utc_now, lifespan: Lifespan | None = None
) -> FastAPI:
    """An app that answers from `store`; opening and closing that is the business of `lifespan`."""
    metrics = Metrics()
    project_of = anonymous(settings.project)
    app = FastAPI(
        title="AgentTracer query service",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,  # its page loads scripts from elsewhere; the document is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat what was asked
        lifespan=lifespan,
    )
    app.include_router(runs_router(store=store, project_of=project_of))
    app.include_router(stats_router(store=store, project_of=project_of, clock=clock))
    app.include_router(health_router(readiness=store.ready, registry=metrics.registry))
    refusal.install(app, retry_after_s=settings.retry_after_s)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def app_on_postgres(settings: QuerySettings) -> FastAPI:
    """The app of a real service: its pool lives as long as it does."""
    postgres = Postgres(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        report_to(Log("query"))
        await postgres.open()
        try:
            yield
        finally:
            await postgres.close()

    return create_app(settings, PostgresReader(postgres), lifespan=lifespan)
