"""What `servicekit.http.uvicorn_protocol` and `server` rely on in uvicorn and httptools, beyond their documents."""

import inspect
import re

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from servicekit.http.server import HttpServer
from servicekit.http.uvicorn_protocol import BoundedProtocol


@pytest.mark.parametrize(
    ("kind", "base", "name"),
    [
        (kind, base, name)
        for kind, base in ((BoundedProtocol, HttpToolsProtocol), (HttpServer, uvicorn.Server))
        for name in vars(kind)
        if name in dir(base) and not name.startswith("__")
    ],
)
def test_overridden(kind: type, base: type, name: str) -> None:
    """Each overridden method takes what uvicorn's takes."""
    ours, theirs = (inspect.signature(getattr(each, name)).parameters for each in (kind, base))
    assert list(ours) == list(theirs)


def test_all_are_overridden() -> None:
    """The methods by which the subclass works exist in uvicorn: one renamed there would silently never be called."""
    bounds = {"data_received", "on_message_begin", "on_url", "on_header", "on_body", "on_headers_complete", "on_message_complete"}
    waits = {"connection_made", "connection_lost", "on_response_complete", "timeout_keep_alive_handler", "_start_asgi_task"}
    assert bounds | waits | {"send_400_response"} <= set(vars(HttpToolsProtocol)) & set(vars(BoundedProtocol))
    assert "pause_writing" in dir(HttpToolsProtocol)
    assert {"startup", "capture_signals", "run"} <= set(vars(uvicorn.Server)) & set(vars(HttpServer))


def test_signals() -> None:
    """Uvicorn takes signals in `capture_signals` alone, around all of `serve`."""
    assert "with self.capture_signals():" in inspect.getsource(uvicorn.Server.serve)
    source = inspect.getsource(uvicorn.Server)
    assert source.count("signal.signal(") == inspect.getsource(uvicorn.Server.capture_signals).count("signal.signal(")


def test_attributes() -> None:
    """The state that the subclass reads is set by uvicorn's constructor."""
    source = inspect.getsource(HttpToolsProtocol.__init__)
    for name in ("cycle", "pipeline", "transport", "loop", "parser", "connections"):
        assert f"self.{name}" in source


def test_protocol_by_object() -> None:
    """Anything callable may stand for the protocol class, and is called by keyword."""
    config = uvicorn.Config("x:y", http=lambda **_: None, log_config=None)  # type: ignore[arg-type]  # what is shown here
    source = inspect.getsource(uvicorn.Server.startup)
    assert callable(config.http)
    assert "config.http_protocol_class(" in source
    for name in ("config=config", "server_state=self.server_state", "app_state=self.lifespan.state"):
        assert name in source


def test_error_in_callback() -> None:
    """An error raised by a callback comes out of the parser as the error that uvicorn answers with `send_400_response`."""

    class Callbacks:
        def on_url(self, url: bytes) -> None:
            raise ValueError

    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(Callbacks()).feed_data(b"GET / HTTP/1.1\r\n\r\n")
    assert "except httptools.HttpParserError" in inspect.getsource(HttpToolsProtocol.data_received)


def test_upgrade_skips_body() -> None:
    """Of a request that offers an upgrade the parser skips the body; that it does is known when the head is complete."""
    seen: list[object] = []

    class Callbacks:
        def on_headers_complete(self) -> None:
            seen.append(parser.should_upgrade())

        def on_body(self, body: bytes) -> None:
            seen.append(body)

    parser = httptools.HttpRequestParser(Callbacks())
    with pytest.raises(httptools.HttpParserUpgrade):
        parser.feed_data(b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}")
    assert seen == [True]


def test_scope_of_request() -> None:
    """The request that is being read has its scope at `self.scope`, where the subclass leaves word that all of it arrived."""
    assert "self.scope = {" in inspect.getsource(HttpToolsProtocol.on_message_begin)


def test_early_answer() -> None:
    """An answer that ends a connection closes the transport that uvicorn was given; a body that nobody reads is `cycle.body`."""
    send = inspect.getsource(httptools_impl.RequestResponseCycle.send)
    assert send.index("self.response_complete = True") < send.index("self.transport.close()") < send.index("self.on_response()")
    assert "self.body = bytearray()" in inspect.getsource(httptools_impl.RequestResponseCycle.__init__)
    assert "self.flow.pause_reading()" in inspect.getsource(HttpToolsProtocol.on_body)


def test_task_of_request() -> None:
    """A request is started by `_start_asgi_task` alone, when its head is there or its turn has come; what it says of its body."""
    source = inspect.getsource(HttpToolsProtocol)
    assert source.count("self._start_asgi_task(") == 2
    assert source.count("run_asgi(") == inspect.getsource(HttpToolsProtocol._start_asgi_task).count("run_asgi(")
    cycle = inspect.getsource(httptools_impl.RequestResponseCycle.__init__)
    assert "self.waiting_for_100_continue = expect_100_continue" in cycle
    assert "self.more_body = True" in cycle
    assert "self.scope = scope" in cycle


def test_part_of_body() -> None:
    """A part of a body is added to `cycle.body`, which a reader takes whole; the end of a body wakes it like any part does."""
    assert "self.cycle.body += body" in inspect.getsource(HttpToolsProtocol.on_body)
    assert "bytes(self.body)" in inspect.getsource(httptools_impl.RequestResponseCycle.receive)
    assert "self.cycle.message_event.set()" in inspect.getsource(HttpToolsProtocol.on_message_complete)


def test_answer_is_written_to_transport() -> None:
    """Answers go out by `transport.write` alone, the head by a call of its own: what is joined, and nothing goes past that."""
    source = inspect.getsource(httptools_impl)
    assert source.count("transport.write(") == len(re.findall(r"self\.transport\.write\(", source))
    assert "writelines" not in source
    send = inspect.getsource(httptools_impl.RequestResponseCycle.send)
    assert send.index('self.transport.write(b"".join(content))') < send.index("self.on_response()")
