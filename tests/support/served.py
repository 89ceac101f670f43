"""An ASGI app of this process on a real socket, for clients that want one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.support.stacks import until


@contextmanager
def served(app: Any, *, http: Any = "httptools") -> Iterator[str]:
    """Serve on a free port of loopback until the block ends, and answer the address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=http, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), timeout_s=30, what="the app is served")
        (listener,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
