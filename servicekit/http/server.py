"""The one way in which every service is served over HTTP: uvicorn with our bounds on connections, TLS, signals and log lines.

A service is either the whole of its process (`run`), or beside what the process does (`start`, `stop`), as the pages of a worker.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servicekit.http.connection_manager import ConnectionManager
from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.fastapi import NO_TELEMETRY
from servicekit.http.health import Readiness, health_router, metrics_router
from servicekit.http.tls import Tls
from servicekit.http.uvicorn_protocol import BoundedProtocol
from servicekit.logs import Log

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_DRAIN_S: Final = 1
"""For the pages of health and metrics: nothing is lost with their answers."""
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (b"cache-control", b"no-store")


class HttpServer(uvicorn.Server):
    """Serves one app. Port 0 lets the system choose; the log's line says which one it is.

    `on_shutdown` is called when it begins to end, before it waits for what is in flight.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        host: str,
        port: int,
        policy: ConnectionPolicy,
        log: Log,
        tls: Tls | None = None,
        lifespan: bool = True,
        drain_timeout_s: int = _DRAIN_S,
        listening_event: str = "listening",
        on_shutdown: Callable[[], None] = lambda: None,
    ) -> None:
        config = uvicorn.Config(
            SafeHeaders(app),
            host=host,
            port=port,
            loop="servicekit.http.event_loop:Loop",
            http=protocol_of(policy),  # type: ignore[arg-type]  # uvicorn only ever calls it
            ws="none",
            lifespan="on" if lifespan else "off",
            log_config=None,
            access_log=False,  # its lines would repeat what was asked
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=drain_timeout_s,
            **(tls.uvicorn_arguments() if tls else {}),  # type: ignore[arg-type]  # as that method promises
        )
        super().__init__(config)
        self._log = log
        self._listening_event = listening_event
        self._on_shutdown = on_shutdown
        self._listens = asyncio.Event()
        self._owns_signals = False
        self._serving: asyncio.Task[None] | None = None
        self._failure: SystemExit | None = None

    def run(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve until SIGTERM or SIGINT; then finish what is in flight and return."""
        self._owns_signals = True
        super().run(sockets=None if sockets is None else list(sockets))

    async def start(self) -> None:
        """Serve beside what else this loop does, and return when it listens. The signals are the caller's.

        Raises SystemExit where it cannot listen, as uvicorn does.
        """
        self._serving = asyncio.create_task(self._serve_beside())
        listens = asyncio.create_task(self._listens.wait())
        await asyncio.wait({self._serving, listens}, return_when=asyncio.FIRST_COMPLETED)
        listens.cancel()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Finish what is in flight, and listen no more."""
        self.should_exit = True
        if self._serving is not None:
            await self._serving

    async def _serve_beside(self) -> None:
        try:
            await self.serve()
        except SystemExit as error:  # out of a task it would end the loop, and the caller with it
            self._failure = error

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and log where."""
        await super().startup(sockets=sockets)
        for server in self.servers:
            for listener in server.sockets:
                self._log.info(self._listening_event, port=listener.getsockname()[1])
        self._listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so first: an answer that goes on for ever has to end by itself."""
        self._on_shutdown()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn raises a signal once more when it has ended in order. Ours does not, so that the process exits with 0."""
        if self._owns_signals:
            for number in _SIGNALS:
                signal.signal(number, self.handle_exit)
        yield


def protocol_of(policy: ConnectionPolicy) -> Callable[..., BoundedProtocol]:
    """The factory that uvicorn calls for each connection. All of them share one manager."""
    return partial(BoundedProtocol, ConnectionManager[BoundedProtocol](policy))


def ops_app(*, readiness: Readiness, registry: CollectorRegistry) -> FastAPI:
    """The pages for operators alone: health, readiness and metrics."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY)
    app.include_router(health_router(readiness=readiness))
    app.include_router(metrics_router(registry))
    return app


class SafeHeaders:
    """ASGI layer around a whole app: nobody on the way keeps an answer, and no browser guesses what it is.

    A route that says for itself how long its answer may be kept, as of a page's files, is left alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self._app(scope, receive, _adding(send) if scope["type"] == "http" else send)


def _adding(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            known = {name.lower() for name, _ in headers}
            headers += [header for header in (_NOSNIFF, _NO_STORE) if header[0] not in known]
            message = {**message, "headers": headers}
        await send(message)

    return with_headers
