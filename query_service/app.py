"""The application: routes, refusals, metrics and the store's life put together. No module-level instance, no settings read."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from query_service import refusal
from query_service.metrics import CountRequests, Metrics
from query_service.postgres import Postgres
from query_service.project import of_key
from query_service.reader import StoreReader
from query_service.runs import runs_router
from query_service.settings import QuerySettings
from query_service.stats import Clock, stats_router, utc_now
from query_service.store import PostgresReader
from servicekit.access import Access, key_ring
from servicekit.access_document import declare_keys
from servicekit.framework import NO_TELEMETRY
from servicekit.health import health_router, metrics_router
from servicekit.key_ring import KeyRing
from servicekit.keys import Scope
from servicekit.logs import Log
from servicekit.loop_errors import report_to

_DESCRIPTION: Final = (
    "How the runs of AI agents behaved. Times are ISO 8601 in UTC, durations milliseconds. "
    "What agents read or wrote is not here: it was never stored."
)
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    settings: QuerySettings, store: StoreReader, *, keys: KeyRing, clock: Clock = utc_now, lifespan: Lifespan | None = None
) -> FastAPI:
    """An app that answers from `store` who has a key of `keys`; opening and closing both is the business of `lifespan`."""
    metrics = Metrics()
    metrics.keys_age_seconds.set_function(keys.age_s)
    project_of = of_key(Access(keys, scope=Scope.READ, anonymous_project=settings.anonymous_project))

    async def readiness() -> str | None:
        return await store.ready() or keys.unready()

    app = FastAPI(
        title="AgentTracer query service",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,  # its page loads scripts from elsewhere; the document is at /openapi.json
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # a redirect would repeat what was asked
        lifespan=lifespan,
    )
    app.include_router(runs_router(store=store, project_of=project_of))
    app.include_router(stats_router(store=store, project_of=project_of, clock=clock))
    app.include_router(health_router(readiness=readiness))
    app.include_router(metrics_router(metrics.registry))
    refusal.install(app, retry_after_s=settings.retry_after_s)
    anonymous = settings.anonymous_project is not None
    app.openapi = partial(_describe, app, anonymous=anonymous)  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def _describe(app: FastAPI, *, anonymous: bool) -> dict[str, Any]:
    """The OpenAPI document. Made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        declare_keys(document, anonymous=anonymous)
        app.openapi_schema = document
    return app.openapi_schema


def app_on_postgres(settings: QuerySettings) -> FastAPI:
    """The app of a real service: its pool lives as long as it does."""
    postgres, log = Postgres(settings), Log("query")
    keys = key_ring(
        postgres_dsn=settings.postgres_dsn,
        key_pepper=settings.key_pepper,
        refresh_s=settings.keys_refresh_s,
        stale_max_s=settings.keys_stale_max_s,
        log=log,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        report_to(log)
        await postgres.open()
        await keys.start()
        try:
            yield
        finally:
            await keys.close()
            await postgres.close()

    return create_app(settings, PostgresReader(postgres), keys=keys, lifespan=lifespan)
