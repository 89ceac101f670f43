"""A gateway that does what a test tells it, on real sockets."""

import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backports import zstd

from agenttracer import AgentTracer

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}

NewTracer = Callable[..., AgentTracer]
WaitUntil = Callable[..., None]


def losses(errors: str) -> list[str]:
    """What a process wrote to stderr, but for the warning that its gateway is away."""
    return [line for line in errors.splitlines() if not line.startswith("the gateway at ")]


@dataclass
class Reply:
    """One scripted answer. `hang` waits until the test is over, `cut` closes the connection in the middle of the answer."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: bool = False
    cut: bool = False


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    wire_bytes: bytes
    batch: dict[str, Any]
    at: float


class FakeGateway:
    """Answers 202 unless `script` says otherwise; keeps every request and the events that it accepted."""

    def __init__(self) -> None:
        self.script: deque[Reply] = deque()
        self.always: Reply | None = None
        self.rule: Callable[[Request], Reply | None] = lambda _: None
        self.requests: list[Request] = []
        self.events: list[dict[str, Any]] = []
        self.connections = 0
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.01), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self.rule(request) or (self.script.popleft() if self.script else self.always or Reply())
        if reply.status == 202 and not reply.hang and not reply.cut:
            rejected = {item["index"] for item in json.loads(reply.body)["rejected"]} if reply.body else set()
            self.events += [event for index, event in enumerate(request.batch["events"]) if index not in rejected]
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                gateway.connections += 1

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                text = DECOMPRESS[self.headers.get("Content-Encoding", "identity")](raw)
                reply = gateway.answer(Request(self.path, dict(self.headers), raw, json.loads(text), time.monotonic()))
                if reply.hang:
                    gateway.over.wait(60)
                    self.close_connection = True
                elif reply.cut:
                    self.wfile.write(b"HTTP/1.1 20")
                    self.close_connection = True
                else:
                    body = reply.body if reply.body is not None else b'{"accepted": 0, "rejected": []}'
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
