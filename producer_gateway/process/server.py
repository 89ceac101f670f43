"""One gateway process as a server: its parts are made here, and served until SIGTERM or SIGINT."""

import gc
import logging
import resource
import socket
from types import FrameType
from typing import Final, Protocol

from fastapi import FastAPI

from producer_gateway.api.ingest import Ingest
from producer_gateway.app import create_app, readiness
from producer_gateway.kafka.kafka_record_log import KafkaRecordLog
from producer_gateway.limits.admission import Admission
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.names.registry import AllowedNames, NameRegistry, OpenProjects, PostgresRegistry
from producer_gateway.process.connections import connection_policy
from producer_gateway.process.drain import Drain
from producer_gateway.process.prefork import shared_socket
from producer_gateway.settings import GatewaySettings
from servicekit import logs
from servicekit.auth.authenticate import build_key_cache
from servicekit.http.server import HttpServer, ops_app

_LOG: Final = logs.Log("gateway")
_COLLECT_AFTER_OBJECTS: Final = 50_000
"""More live containers than before: what one or two large requests are made of. Some MiB at the most."""
_OWN_FILES: Final = 256
"""Files that are no client's connection: Kafka's brokers, twice while a producer is replaced, libraries, certificates."""


class SideServer(Protocol):
    """Another protocol's server in the same process."""

    async def start(self, port: int) -> None:
        """Listen. Raises OSError, ValueError."""

    async def stop(self) -> None:
        """Take no more, and finish what is in flight."""


class GatewayServer(HttpServer):
    """Turns readiness red before anything else at a signal to end. `ops`, if any, serves readiness until the end.

    `door` is that of gRPC: it opens once the app has started, and is empty before the app ends.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        *,
        drain: Drain,
        ops: HttpServer | None,
        door: SideServer | None,
    ) -> None:
        super().__init__(
            app,
            host=settings.host,
            port=settings.port,
            policy=connection_policy(settings, metrics, connections_max=_room_for(settings.connections_max)),
            log=_LOG,
            tls=settings.tls,
            drain_timeout_s=settings.drain_timeout_s,
        )
        self._drain = drain
        self._ops = ops
        self._door = door
        self._grpc_port = settings.grpc_port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on all ports."""
        await super().startup(sockets=sockets)
        if self._door is not None and self._grpc_port is not None and not self.should_exit:
            await _open(self._door, self._grpc_port)
        if self._ops is not None:
            await self._ops.start()
        _collect_seldom()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight."""
        if self._door is not None:
            await self._door.stop()
        await super().shutdown(sockets=sockets)
        if self._ops is not None:
            await self._ops.stop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal arrived."""
        self._drain.begun = True
        super().handle_exit(sig, frame)


def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight and return."""
    logs.configure(settings.log_level)
    if settings.log_level.upper() != "DEBUG":
        # While Kafka is away the client writes 40 lines a second. The supervisor says the same once a try.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    metrics, drain = GatewayMetrics(), Drain()
    keys = build_key_cache(
        postgres_dsn=settings.postgres_dsn,
        key_pepper=settings.key_pepper,
        former_pepper=settings.key_pepper_former,
        refresh_s=settings.keys_refresh_s,
        stale_max_s=settings.keys_stale_max_s,
        log=_LOG,
    )
    names = _names(settings)
    record_log = KafkaRecordLog(settings, metrics)
    admission = Admission.of(settings, metrics)
    app = create_app(settings, record_log, keys=keys, names=names, metrics=metrics, drain=drain, admission=admission)
    pages = ops_app(readiness=readiness(record_log, keys, names, drain, admission), registry=metrics.registry)
    door = _door(settings, app.state.ingest, metrics)
    server = GatewayServer(app, settings, metrics, drain=drain, ops=_ops_server(pages, settings), door=door)
    server.run(sockets=[shared_socket(settings.host, settings.port)] if settings.reuse_port else None)


def _names(settings: GatewaySettings) -> AllowedNames:
    if settings.postgres_dsn is None:
        return OpenProjects()
    store = PostgresRegistry(settings.postgres_dsn.get_secret_value())
    return NameRegistry(store, refresh_s=settings.keys_refresh_s, stale_max_s=settings.keys_stale_max_s, log=_LOG)


def _door(settings: GatewaySettings, ingest: Ingest, metrics: GatewayMetrics) -> SideServer | None:
    if settings.grpc_port is None:
        return None
    from producer_gateway.otlp_grpc.server import GrpcDoor  # noqa: PLC0415 - loads gRPC's core, which starts threads

    return GrpcDoor(settings, ingest, metrics)


async def _open(door: SideServer, port: int) -> None:
    try:
        await door.start(port)
    except (OSError, ValueError) as error:
        _LOG.error("grpc_cannot_listen", port=port, error_class=logs.error_class(error))
        raise SystemExit(1) from None


def _ops_server(pages: FastAPI, settings: GatewaySettings) -> HttpServer | None:
    """A process's own port for health, readiness and metrics, in plain HTTP; None where the settings name none.

    For where the other port is shared, so that answers come from any process, or can be reached by people who should
    not see which project sends how much. Its connections are no clients of the gateway: they have metrics of their own.
    """
    if settings.pages_port is None:
        return None
    return HttpServer(
        pages,
        host=settings.host,
        port=settings.pages_port,
        policy=connection_policy(settings, GatewayMetrics()),
        log=_LOG,
        lifespan=False,
        listening_event="pages_listening",
    )


def _collect_seldom() -> None:
    """Freeze what is there for good, and collect garbage less often: a request leaves hardly any cycles.

    By the defaults a batch of 500 events triggers the collector several times, and each looks at much of the heap: a tenth of
    all CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)


def _room_for(connections: int) -> int:
    """How many connections the system allows, at most `connections`. Raises its limit on open files as far as this process may.

    Shells often start processes with room for 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    room = max(1, granted - _OWN_FILES)
    if room < connections:
        _LOG.warning("open_files_limited", connections=room)
    return room
