"""The application, put together from routes, error handlers, metrics and the store. No module-level instance."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.gzip import GZipMiddleware

from query_service.api.auth import ReadingCallers
from query_service.api.error_handlers import QueryErrorHandlers
from query_service.api.files.export import export_router
from query_service.api.live.tail import tail_router
from query_service.api.runs import runs_router
from query_service.api.sessions import sessions_router
from query_service.api.statistics.agents import agents_router
from query_service.api.statistics.compare import compare_router
from query_service.api.statistics.compare_runs import compare_runs_router
from query_service.api.statistics.explain import explain_router
from query_service.api.statistics.failures import failures_router
from query_service.api.statistics.heatmap import heatmap_router
from query_service.api.statistics.series import series_router
from query_service.api.statistics.usage import usage_router
from query_service.api.stats import Clock, stats_router, utc_now
from query_service.api.tree import tree_router
from query_service.browser.pages import SecurityHeaders, built_pages, pages_router
from query_service.browser.session import Guide, session_router
from query_service.live.feed import Feeds
from query_service.metrics import CountRequests, QueryMetrics
from query_service.names.layer import ShowNames
from query_service.names.registry import NameSource, NoNames, PostgresNames
from query_service.prices.table import SHIPPED, read_prices
from query_service.settings import QuerySettings
from query_service.store.pool import PostgresPool
from query_service.store.postgres import PostgresReader
from query_service.store.store import StoreReader
from servicekit.auth.authenticate import Authenticator, build_key_cache
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Scope
from servicekit.auth.openapi import declare_keys
from servicekit.auth.refusals import KeyRefusals
from servicekit.http.asyncio_errors import report_to
from servicekit.http.fastapi import NO_TELEMETRY
from servicekit.http.health import health_router, metrics_router
from servicekit.logs import Log

_DESCRIPTION: Final = (
    "How the runs of AI agents behaved. Times are ISO 8601 in UTC, durations milliseconds. "
    "What agents read or wrote is not here: it was never stored."
)
_COMPRESS_FROM_BYTES: Final = 1_024
"""A smaller answer fits into one packet anyway."""
_COMPRESS_LEVEL: Final = 4
"""Rows of JSON shrink to a tenth at any level, and the higher ones take twice the time."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    settings: QuerySettings,
    store: StoreReader,
    *,
    keys: KeyCache,
    names: NameSource | None = None,
    clock: Clock = utc_now,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """An app that answers callers with a key of `keys` from `store`, and shows `names`. `lifespan` opens and closes them."""
    metrics = QueryMetrics()
    metrics.keys_age_seconds.set_function(keys.age_s)
    refusals = KeyRefusals(Log("query"), metrics.keys_refused, note=keys.note_refusal)
    authenticator = Authenticator(
        keys,
        scope=Scope.READ,
        anonymous_project=settings.anonymous_project,
        again="ask again",
        refused=refusals.refused,
    )
    callers = ReadingCallers(keys, authenticator, lifetime_s=settings.session_s, refused=refusals.refused)
    project_of = callers.project

    async def readiness() -> str | None:
        return await store.ready() or keys.unready()

    app = FastAPI(
        title="AgentTracer query service",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,  # its page loads scripts from elsewhere; ours is one of the pages
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # a redirect would repeat what was asked
        lifespan=lifespan,
    )
    app.include_router(runs_router(store=store, project_of=project_of, clock=clock))
    app.include_router(tree_router(store=store, project_of=project_of))
    app.include_router(compare_runs_router(store=store, project_of=project_of))
    for router in (
        stats_router,
        series_router,
        agents_router,
        failures_router,
        heatmap_router,
        compare_router,
        explain_router,
        sessions_router,
        export_router,
    ):
        app.include_router(router(store=store, project_of=project_of, clock=clock))
    feeds = Feeds(store, clock=clock, readers_max=settings.tails_max, dropped=metrics.tail_dropped.inc)
    metrics.tail_readers.set_function(lambda: feeds.readers)
    app.state.feeds = feeds
    app.include_router(tail_router(feeds=feeds, project_of=project_of, clock=clock))
    prices = read_prices(settings.prices_file or SHIPPED)
    app.include_router(usage_router(store=store, project_of=project_of, clock=clock, prices=prices))
    guide = Guide(gateway_url=settings.gateway_url, ingest_key_file=settings.ingest_key_file)
    app.include_router(session_router(callers, guide=guide))
    app.include_router(pages_router(built_pages()))
    app.include_router(health_router(readiness=readiness))
    app.include_router(metrics_router(metrics.registry))
    QueryErrorHandlers(retry_after_s=settings.retry_after_s).install(app)
    anonymous = settings.anonymous_project is not None
    app.openapi = partial(_describe, app, anonymous=anonymous)  # type: ignore[method-assign]  # FastAPI's documented way
    app.add_middleware(ShowNames, names=names or NoNames(), project_of=lambda request: callers.caller(request).project)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESS_FROM_BYTES, compresslevel=_COMPRESS_LEVEL)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(CountRequests, metrics=metrics)  # last, so that it sees what the others do
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
    postgres, log = PostgresPool(settings), Log("query")
    keys = build_key_cache(
        postgres_dsn=settings.postgres_dsn,
        key_pepper=settings.key_pepper,
        former_pepper=settings.key_pepper_former,
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

    return create_app(settings, PostgresReader(postgres), keys=keys, names=PostgresNames(postgres), lifespan=lifespan)
