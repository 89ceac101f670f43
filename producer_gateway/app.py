"""The gateway as an ASGI app, put together from its parts. Nothing is decided here and nothing exists before it is called."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from producer_gateway.api.error_handlers import GatewayErrorHandlers
from producer_gateway.api.fast_path import FastPath, fast_endpoints
from producer_gateway.api.ingest import Ingest
from producer_gateway.api.openapi import describe
from producer_gateway.api.routes import EventsDecoder, RunDecoder, ingest_router
from producer_gateway.kafka.record_log import RecordLog
from producer_gateway.limits.admission import Admission
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.names.judge import NameJudge
from producer_gateway.names.registry import AllowedNames, OpenProjects
from producer_gateway.otlp.routes import otlp_router
from producer_gateway.otlp.schema import otlp_schemas
from producer_gateway.process.drain import Drain
from producer_gateway.settings import GatewaySettings
from servicekit.auth.authenticate import Authenticator
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Scope
from servicekit.auth.refusals import KeyRefusals
from servicekit.http import asyncio_errors
from servicekit.http.fastapi import NO_TELEMETRY
from servicekit.http.health import Readiness, health_router, metrics_router
from servicekit.logs import Log


def readiness(record_log: RecordLog, keys: KeyCache, names: AllowedNames, drain: Drain, admission: Admission) -> Readiness:
    """Whether this process will take requests now."""

    async def ask() -> str | None:
        return "draining" if drain.begun else record_log.unready() or keys.unready() or names.unready() or admission.unready()

    return ask


def _wall_clock_us() -> int:
    return time.time_ns() // 1_000


def create_app(
    settings: GatewaySettings,
    record_log: RecordLog,
    *,
    keys: KeyCache,
    names: AllowedNames | None = None,
    metrics: GatewayMetrics | None = None,
    drain: Drain | None = None,
    admission: Admission | None = None,
    clock_us: Callable[[], int] = _wall_clock_us,
) -> FastAPI:
    """The app. It starts `record_log`, `keys` and `names` and closes them. Without `names` every project is open."""
    names = names or OpenProjects()
    metrics, drain = metrics or GatewayMetrics(), drain or Drain()
    admission = admission or Admission.of(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        asyncio_errors.report_to(Log("gateway"))
        await keys.start()
        await names.start()
        await record_log.start()
        yield
        await record_log.close()
        await names.close()
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
    handlers = GatewayErrorHandlers(retry_after_s=settings.retry_after_s, metrics=metrics)
    handlers.install(app)
    metrics.keys_age_seconds.set_function(keys.age_s)
    refusals = KeyRefusals(Log("gateway"), metrics.keys_refused, note=keys.note_refusal)
    authenticator = Authenticator(
        keys,
        scope=Scope.INGEST,
        anonymous_project=settings.anonymous_project,
        again="send the same events, with the same ids,",
        refused=refusals.refused,
    )
    name_key = None if settings.name_key is None else settings.name_key.get_secret_value()
    ingest = Ingest(
        settings,
        record_log,
        authenticator=authenticator,
        names=NameJudge(names, name_key),
        admission=admission,
        metrics=metrics,
        clock_us=clock_us,
    )
    ingest_routers = (
        ingest_router(ingest, events=EventsDecoder(settings), runs=RunDecoder(settings, clock_us=clock_us)),
        otlp_router(ingest, settings),
    )
    for router in ingest_routers:
        app.include_router(router)  # and no dependencies here: the fast path sees those of routers and routes alone
    app.include_router(health_router(readiness=readiness(record_log, keys, names, drain, admission)))
    if settings.pages_port is None:
        app.include_router(metrics_router(metrics.registry))
    app.state.ingest = ingest  # for the door that is none of the app's: gRPC
    # First, so that whatever is added later stands before it.
    app.add_middleware(FastPath, endpoints=fast_endpoints(ingest_routers), answer=handlers.refusal, drain=drain)
    anonymous = settings.anonymous_project is not None
    app.openapi = partial(describe, app, anonymous=anonymous, schemas=otlp_schemas)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app
