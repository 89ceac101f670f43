"""The gateway as an ASGI app, put together from its parts. Nothing is decided here and nothing exists before it is called."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from producer_gateway.admission import Admission
from producer_gateway.answer_errors import ErrorAnswers
from producer_gateway.drain import Drain
from producer_gateway.hot_lane import HotLane, hot_endpoints
from producer_gateway.metrics import Metrics
from producer_gateway.openapi import describe
from producer_gateway.otlp.route import otlp_router, why_not_found
from producer_gateway.record_log import RecordLog
from producer_gateway.routes import Ingest, ingest_router
from producer_gateway.settings import GatewaySettings
from servicekit import loop_errors
from servicekit.access import Access
from servicekit.framework import NO_TELEMETRY
from servicekit.health import Readiness, health_router, metrics_router
from servicekit.key_ring import KeyRing
from servicekit.keys import Scope
from servicekit.logs import Log


def readiness(record_log: RecordLog, keys: KeyRing, drain: Drain, admission: Admission) -> Readiness:
    """Whether this process will take requests now."""

    async def ask() -> str | None:
        return "draining" if drain.begun else record_log.unready() or keys.unready() or admission.unready()

    return ask


def _wall_clock_us() -> int:
    return time.time_ns() // 1_000


def create_app(
    settings: GatewaySettings,
    record_log: RecordLog,
    *,
    keys: KeyRing,
    metrics: Metrics | None = None,
    drain: Drain | None = None,
    admission: Admission | None = None,
    clock_us: Callable[[], int] = _wall_clock_us,
) -> FastAPI:
    """The app. It starts `record_log` and `keys` at startup and closes them at shutdown."""
    metrics, drain = metrics or Metrics(), drain or Drain()
    admission = admission or Admission.of(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop_errors.report_to(Log("gateway"))
        await keys.start()
        await record_log.start()
        yield
        await record_log.close()
        await keys.close()

    app = FastAPI(
        title="AgentTracer gateway",
        version="1.0",
        description="Takes the telemetry of AI agents, and nothing else: what the contract has no place for is not kept.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere; the document is at /openapi.json
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        # A redirect would repeat the address that was asked for, query string included.
        redirect_slashes=False,
    )
    answers = ErrorAnswers(retry_after_s=settings.retry_after_s, metrics=metrics, why_not_found=why_not_found)
    answers.install(app)
    metrics.keys_age_seconds.set_function(keys.age_s)
    access = Access(keys, scope=Scope.INGEST, anonymous_project=settings.anonymous_project)
    ingest = Ingest(settings, record_log, access=access, admission=admission, metrics=metrics, clock_us=clock_us)
    ingest_routers = ingest_router(ingest), otlp_router(ingest)
    for router in ingest_routers:
        app.include_router(router)  # and no dependencies here: the hot lane sees those of routers and routes alone
    app.include_router(health_router(readiness=readiness(record_log, keys, drain, admission)))
    if settings.pages_port is None:
        app.include_router(metrics_router(metrics.registry))
    # First, so that whatever is added later stands before it.
    app.add_middleware(HotLane, endpoints=hot_endpoints(ingest_routers), answer=answers.refusal, drain=drain)
    anonymous = settings.anonymous_project is not None
    app.openapi = partial(describe, app, anonymous=anonymous)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app
