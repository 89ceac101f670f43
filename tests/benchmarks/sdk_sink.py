"""A sink for benchmarks of the SDK, in a process of its own: answers 202 to everything, or takes connections and is silent."""

import contextlib
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

_ANSWER = b'{"accepted": 0, "rejected": []}'


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", str(len(_ANSWER)))
        self.end_headers()
        self.wfile.write(_ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def sink(*, answers: bool) -> Iterator[str]:
    """Its URL, while it runs."""
    command = [sys.executable, "-m", "tests.benchmarks.sdk_sink", "answer" if answers else "swallow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def _swallow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        held = []
        while True:
            held.append(server.accept())


def _answer() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    threading.Thread(target=_answer if sys.argv[1] == "answer" else _swallow).start()
