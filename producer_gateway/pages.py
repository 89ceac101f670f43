"""A process's own port for health, readiness and metrics.

For where its other port is shared, so that answers come from any process, or is open to people whom it does not concern which
project sends how much.
"""

import asyncio
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from producer_gateway.door import Door
from producer_gateway.metrics import Metrics
from producer_gateway.settings import GatewaySettings
from servicekit.framework import NO_TELEMETRY
from servicekit.health import Readiness, health_router, metrics_router
from servicekit.logs import Log

_LOG: Final = Log("gateway")


class Pages:
    """Served between `open` and `close`, plain HTTP, by the loop that runs."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics, *, readiness: Readiness) -> None:
        self._settings = settings
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY)
        app.include_router(health_router(readiness=readiness))
        app.include_router(metrics_router(metrics.registry))
        # With a door and metrics of its own: connections to these pages are no clients of the gateway.
        self._door = Door(settings, Metrics())
        self._config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        if self._settings.pages_port is None:
            return
        state = ServerState()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._door(config=self._config, server_state=state, app_state={}),
            self._settings.host,
            self._settings.pages_port,
        )
        _LOG.info("pages_listening", port=self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
