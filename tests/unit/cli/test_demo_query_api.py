"""Reading the query API over HTTP."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from agenttracer_cli.demo.errors import QueryApiError
from agenttracer_cli.demo.query_api import QueryApi


class Pages(BaseHTTPRequestHandler):
    """Answers what the test put there, by cursor, and notes what was asked."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        cursor = parse_qs(urlsplit(self.path).query).get("cursor", [""])[0]
        status, body = self.answers[cursor]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[QueryApi]:
    Pages.answers, Pages.asked = {}, []
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield QueryApi(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


def test_all_pages_are_read(api: QueryApi) -> None:
    """The next one by the cursor of the one before."""
    Pages.answers[""] = (200, json.dumps({"runs": [{"run_id": "2"}], "next_cursor": "c"}))
    Pages.answers["c"] = (200, json.dumps({"runs": [{"run_id": "1"}], "next_cursor": None}))
    assert [run["run_id"] for run in api.runs(since=datetime(2026, 1, 31, tzinfo=UTC))] == ["2", "1"]
    assert Pages.asked[0] == "/v1/runs?since=2026-01-31T00%3A00%3A00%2B00%3A00&limit=500"


@pytest.mark.parametrize("answer", [(503, "{}"), (404, "{}"), (200, "<html>")])
def test_any_other_answer_is_an_error(api: QueryApi, answer: tuple[int, str]) -> None:
    """The demo keeps asking, or ends with one line."""
    Pages.answers[""] = answer
    with pytest.raises(QueryApiError, match="query service"):
        api.steps("r1")


def test_silence_is_an_error() -> None:
    """Where nobody listens."""
    with pytest.raises(QueryApiError, match="is it up"):
        QueryApi("http://127.0.0.1:9").failures("r1")
