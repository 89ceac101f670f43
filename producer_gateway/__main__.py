"""One gateway process: settings, app, serve until SIGTERM. `python -m producer_gateway`."""

import gc
import logging
import signal
import socket
import sys
from types import FrameType
from typing import Final

import uvicorn

from producer_gateway.admission import Admission
from producer_gateway.app import create_app, readiness
from producer_gateway.door import Door
from producer_gateway.drain import Drain
from producer_gateway.kafka_log import KafkaLog
from producer_gateway.metrics import Metrics
from producer_gateway.open_files import make_room
from producer_gateway.pages import Pages
from producer_gateway.processes import Group, shared_socket
from producer_gateway.settings import GatewaySettings
from servicekit import logs
from servicekit.access import NOBODY_RULE, key_ring
from servicekit.start import read_settings, refuse_to_start

_LOG: Final = logs.Log("gateway")
_COLLECT_AFTER_OBJECTS: Final = 50_000
"""More live containers than before: what one or two large requests are made of. Some MiB at the most."""


class Server(uvicorn.Server):
    """uvicorn, that turns readiness red before anything else when it is told to end."""

    def __init__(self, config: uvicorn.Config, drain: Drain, pages: Pages) -> None:
        super().__init__(config)
        self._drain = drain
        self._pages = pages

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where: port 0 let the system choose."""
        await super().startup(sockets=sockets)
        await self._pages.open()
        _collect_seldom()
        for server in self.servers:
            for listener in server.sockets:
                _LOG.info("listening", port=listener.getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish; the pages show it until the end."""
        await super().shutdown(sockets=sockets)
        self._pages.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal arrived."""
        self._drain.begun = True
        super().handle_exit(sig, frame)


def _collect_seldom() -> None:
    """Spare the garbage collector what is there for good, and let it look less often: a request leaves hardly any cycles.

    By the defaults a batch of 500 events triggers it several times, each a look at much of the heap: a tenth of all CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)


def _door(settings: GatewaySettings, metrics: Metrics) -> Door:
    room = make_room(settings.connections_max)
    if room < settings.connections_max:
        _LOG.warning("open_files_limited", connections=room)
    return Door(settings, metrics, connections_max=room)


def main() -> int:
    """Serve, in as many processes as told."""
    settings = read_settings(GatewaySettings)
    if settings.postgres_dsn is None and settings.anonymous_project is None:
        refuse_to_start(NOBODY_RULE)
    if settings.processes > 1:
        logs.configure(settings.log_level)
        return _group(settings).run()
    serve(settings)
    return 0


def _group(settings: GatewaySettings) -> Group:
    try:
        return Group(settings)
    except OSError as error:
        refuse_to_start(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}")


def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight and return."""
    logs.configure(settings.log_level)
    if settings.log_level.upper() != "DEBUG":
        # While Kafka is away the client writes 40 lines a second. The supervisor says the same once a try.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    metrics, drain = Metrics(), Drain()
    keys = key_ring(
        postgres_dsn=settings.postgres_dsn,
        key_pepper=settings.key_pepper,
        refresh_s=settings.keys_refresh_s,
        stale_max_s=settings.keys_stale_max_s,
        log=_LOG,
    )
    record_log = KafkaLog(settings, metrics)
    admission = Admission.of(settings, metrics)
    app = create_app(settings, record_log, keys=keys, metrics=metrics, drain=drain, admission=admission)
    pages = Pages(settings, metrics, readiness=readiness(record_log, keys, drain, admission))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="servicekit.tls_loop:Loop",
        http=_door(settings, metrics),  # type: ignore[arg-type]  # uvicorn only ever calls it
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        **settings.tls.uvicorn_arguments(),  # type: ignore[arg-type]  # as that method promises
    )
    # uvicorn raises the signal once more when it has ended in order: heard here, so that the process exits with 0.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda _number, _frame: None)
    sockets = [shared_socket(settings.host, settings.port)] if settings.reuse_port else None
    Server(config, drain, pages).run(sockets=sockets)


if __name__ == "__main__":
    sys.exit(main())
