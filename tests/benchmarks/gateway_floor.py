"""What a request costs whoever takes it: an HTTP server that sends each body to Kafka as it is, and answers when it is there.

The gateway's HTTP server, client, event loop and settings, and nothing else: no key, no limit, nothing read, nothing checked. A
process of its own, told its work by a pickled file; it says its port in one line and serves until it is ended.
"""

import pickle
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from aiokafka import AIOKafkaProducer

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]
_BODY_MAX_BYTES = 8 * 1024 * 1024
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def serve(*, bootstrap: str, topic: str, settings: dict[str, Any]) -> None:
    """Serve on a free port of the loopback."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=_BODY_MAX_BYTES, **settings)
    await producer.start()

    async def app(_scope: dict[str, Any], receive: Receive, send: Send) -> None:
        pieces, more = [], True
        while more:
            message = await receive()
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(pieces)
        await producer.send_and_wait(topic, body, body[-16:])
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b"{}"})

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(serve(**pickle.loads(Path(sys.argv[1]).read_bytes())))
