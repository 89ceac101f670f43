"""A service that is ready at once, or behaves badly on request; stands in for ours in tests."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    """Answers the readiness question."""

    def do_GET(self) -> None:
        """Say ready, and nothing else."""
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""
        return


if os.environ.get("TINY_DIES"):
    sys.exit("tiny: missing setting")
if os.environ.get("TINY_IGNORES_TERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
port = int(os.environ["TINY_PORT"])
if os.environ.get("TINY_NEVER_LISTENS_ON") == str(port):
    signal.pause()
server = HTTPServer(("127.0.0.1", port), Ready, bind_and_activate=False)
server.allow_reuse_port = bool(os.environ.get("TINY_SHARES"))
server.server_bind()
server.server_activate()
server.serve_forever()
