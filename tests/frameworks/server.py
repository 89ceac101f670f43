"""One server on loopback for the frameworks' agents: the scripted model, and the sink of OTLP that keeps what they export."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from tests.frameworks import model

_TRACES: Final = "/v1/traces"
_ANSWERS: Final = {"/chat/completions": model.chat, "/responses": model.respond, "/messages": model.message}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that ends hangs up in the middle of a connection that is kept alive."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self._body()
        if self.path == _TRACES:
            self.server.bodies.append(body)
            self._answer(200, b"", "application/x-protobuf")
            return
        answer = next((found for end, found in _ANSWERS.items() if self.path.partition("?")[0].endswith(end)), None)
        if answer is None:
            self._json(404, {"error": {"message": "no such path", "type": "invalid_request_error", "code": None, "param": None}})
            return
        request = json.loads(body)
        try:
            found = answer(request)
        except model.Refused:
            self._json(401, model.REFUSAL)
            return
        if request.get("stream") and answer is model.chat:
            self._stream(request)
        else:
            self._json(200, found)

    def do_GET(self) -> None:
        self._json(404, {})

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _stream(self, request: dict[str, Any]) -> None:
        chunks = [*map(json.dumps, model.chat_chunks(request)), "[DONE]"]
        self._answer(200, "".join(f"data: {chunk}\n\n" for chunk in chunks).encode(), "text/event-stream")

    def _json(self, status: int, answer: dict[str, Any]) -> None:
        self._answer(status, json.dumps(answer).encode(), "application/json")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[_Server]:
    """The server, until the block ends: `server_port`, and the OTLP requests that came, in `bodies`."""
    with _Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
