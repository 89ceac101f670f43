"""One query process: settings, app, serve until SIGTERM. `python -m query_service`."""

import signal
import socket
from typing import Final

import uvicorn

from query_service.app import app_on_postgres
from query_service.settings import QuerySettings
from servicekit import logs
from servicekit.access import NOBODY_RULE
from servicekit.bounded_head import BoundedHeads
from servicekit.start import read_settings, refuse_to_start

_LOG: Final = logs.Log("query")


class Server(uvicorn.Server):
    """uvicorn, that says in our own log where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Port 0 let the system choose."""
        await super().startup(sockets=sockets)
        for server in self.servers:
            for listener in server.sockets:
                _LOG.info("listening", port=listener.getsockname()[1])


def main() -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight and return."""
    settings = read_settings(QuerySettings)
    if settings.key_pepper is None and settings.anonymous_project is None:
        refuse_to_start(NOBODY_RULE)
    logs.configure(settings.log_level)
    heads = BoundedHeads(
        head_max_bytes=settings.head_max_bytes,
        head_timeout_s=settings.head_timeout_s,
        connections_max=settings.connections_max,
    )
    config = uvicorn.Config(
        app_on_postgres(settings),
        host=settings.host,
        port=settings.port,
        loop="servicekit.tls_loop:Loop",
        http=heads,  # type: ignore[arg-type]  # uvicorn only ever calls it
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # its lines would repeat what was asked
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections_max,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        **settings.tls.uvicorn_arguments(),  # type: ignore[arg-type]  # as that method promises
    )
    # uvicorn raises the signal once more when it has ended in order: heard here, so that the process exits with 0.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda _number, _frame: None)
    Server(config).run()


if __name__ == "__main__":
    main()
