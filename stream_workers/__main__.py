"""A worker process: settings → parts → run until SIGTERM. `python -m stream_workers`."""

import asyncio
import gc
import os
import signal
import sys

from servicekit.http import asyncio_errors
from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.server import HttpServer, ops_app
from servicekit.load_settings import read_settings
from servicekit.logs import Log, configure
from stream_workers.settings import WorkerSettings
from stream_workers.worker import Worker

_log = Log("worker")


def _spare_the_collector() -> None:
    """Rows are tuples by the ten thousand that live for a second: looking for cycles among them all the time finds none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def serve(settings: WorkerSettings) -> int:
    """Run the worker and its health pages until SIGTERM or SIGINT."""
    worker, stop = Worker(settings), asyncio.Event()
    asyncio_errors.report_to(_log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = HttpServer(
        ops_app(readiness=worker.readiness, registry=worker.metrics.registry),
        host=settings.host,
        port=settings.port,
        policy=ConnectionPolicy(),
        log=_log,
        lifespan=False,
    )
    await server.start()
    code = await worker.run(stop)
    await server.stop()
    return code


def main() -> int:
    """Run until a signal. The exit code: 0 stopped, 65 too many dead letters (if so set), 70 unexpected, 71 stuck, 76 fenced off.

    It is 78 where the settings are unsound, or the store refuses them.
    """
    settings = read_settings(WorkerSettings)
    configure(settings.log_level)
    _spare_the_collector()
    return asyncio.run(serve(settings))


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # Faust leaves threads behind that would keep a finished process alive
