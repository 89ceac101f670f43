"""One HTTP request to the gateway and its response, by the standard library: keep-alive, compression, deadlines, no retries.

Redirects are not followed and proxy variables are not read: telemetry goes to the configured address or nowhere.
"""

import gzip
import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PATH: Final = "/v1/events"
_RESPONSE_MAX_BYTES: Final = 64 * 1024
_UNAUTHORIZED: Final = 401
_UNSUPPORTED_ENCODING: Final = 415
_COMPRESSED_MIN_BYTES: Final = 1024
_ZSTD: Final = ("compression.zstd", "backports.zstd")
"""The standard library's, from Python 3.14 on, and the backport for earlier versions, if the agent has installed it."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost"})
"""The addresses that a local stack listens on. Another process may listen on the same port of `::1`."""
_KEY_MAX_CHARS: Final = 200
_PROBLEMS: Final = (
    (socket.gaierror, "its name cannot be resolved"),
    (ConnectionRefusedError, "connection refused"),
    (TimeoutError, "it does not answer in time"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionError, "it closed the connection"),
    (http.client.HTTPException, "it does not speak HTTP"),
)
"""The first that fits is said."""


class BodyEncoding(NamedTuple):
    """A content encoding at its fastest level: its name in HTTP, and the function that applies it."""

    name: str
    compress: Callable[[bytes], bytes]


def _available_encodings() -> tuple[BodyEncoding, ...]:
    gzipped = BodyEncoding("gzip", lambda body: gzip.compress(body, compresslevel=1, mtime=0))
    for name in _ZSTD:
        try:
            zstd = import_module(name)
        except ImportError:
            continue
        return BodyEncoding("zstd", partial(zstd.compress, level=1)), gzipped
    return (gzipped,)


ENCODINGS: Final = _available_encodings()
"""The encodings to try, the best one first; every gateway takes gzip, the last. Found once, when the module is imported."""


def local_key(api_url: str) -> str | None:
    """The key that a local stack published for agents on this machine; None unless `api_url` is that stack's gateway.

    A stack serves plain HTTP on loopback, and its key file is named for its port: no other address gets the key.
    """
    parts = urlsplit(api_url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return None
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - pathlib costs milliseconds at import
    file = os.path.join(home, "agenttracer", "local", f"{parts.port or 80}.key")  # noqa: PTH118 - likewise
    try:
        with open(file, encoding="ascii") as opened:  # noqa: PTH123 - likewise
            key = opened.read(_KEY_MAX_CHARS).strip()
    except (OSError, ValueError):
        return None
    return key if key.replace("_", "").isalnum() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayResponse:
    """A response of the gateway. At most 64 KiB of the body is read."""

    status: int
    retry_after: str | None
    body: bytes


class Transport:
    """A connection to one gateway, opened when needed. Used by one thread at a time."""

    def __init__(self, *, api_url: str, api_key: str | None, connect_timeout_s: float, request_timeout_s: float) -> None:
        parts = urlsplit(api_url)
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path + _PATH
        self._connect_timeout_s = connect_timeout_s
        self._request_timeout_s = request_timeout_s
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        self._encodings = list(ENCODINGS)
        self._local_url = api_url if api_key is None else None
        self._authorize(api_key or local_key(api_url))
        self._connection: http.client.HTTPConnection | None = None
        self.address = f"{parts.scheme}://{parts.netloc}"
        self.problem = ""
        """Why the last request had no response."""

    def post(self, body: bytes, *, within_s: float | None = None) -> GatewayResponse | None:
        """The gateway's response, or None when there was none in time, whatever the cause. Never raises an OSError.

        None says nothing about whether the gateway took the events.
        """
        limit_s = self._request_timeout_s if within_s is None else max(0.001, min(within_s, self._request_timeout_s))
        deadline = time.monotonic() + limit_s
        kept = self._connection is not None
        response = self._try(body, deadline)
        if response is None and kept and time.monotonic() < deadline:
            response = self._try(body, deadline)  # a kept connection may have been closed while it was idle
        if response is not None and response.status == _UNAUTHORIZED and self._found_another_key():
            response = self._try(body, deadline)
        if response is not None and response.status == _UNSUPPORTED_ENCODING and len(self._encodings) > 1:
            del self._encodings[0]  # an older gateway
            response = self._try(body, deadline)
        return response

    def _found_another_key(self) -> bool:
        """Whether the local stack has published a key since the last look: it may have started after this process."""
        return self._local_url is not None and self._authorize(local_key(self._local_url))

    def _authorize(self, key: str | None) -> bool:
        before = self._headers.get("Authorization")
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        return self._headers.get("Authorization") != before

    def _try(self, body: bytes, deadline: float) -> GatewayResponse | None:
        try:
            connection = self._connected(deadline)
            response = self._exchange(connection, body, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            self.problem = _problem_of(error)
            return None
        return response

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        if self._connection is None:
            timeout_s = max(0.001, min(self._connect_timeout_s, deadline - time.monotonic()))
            connection = self._kind(self._host, self._port, timeout=timeout_s)
            connection.connect()
            self._connection = connection
        return self._connection

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, deadline: float) -> GatewayResponse:
        headers = self._headers
        if len(body) >= _COMPRESSED_MIN_BYTES:
            encoding = self._encodings[0]
            body = encoding.compress(body)
            headers = {**headers, "Content-Encoding": encoding.name}
        connection.response_class = _response_by(deadline)
        connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
        connection.request("POST", self._path, body=body, headers=headers)
        response = connection.getresponse()
        text = response.read(_RESPONSE_MAX_BYTES)
        if response.will_close or not response.isclosed():
            self.close()  # the gateway closes it, or the response is longer than the SDK reads
        return GatewayResponse(status=response.status, retry_after=response.getheader("Retry-After"), body=text)

    def close(self) -> None:
        """Close the connection. The next `post` opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _problem_of(error: Exception) -> str:
    """The cause in words of ours: the error's own could repeat what a server sent."""
    for kind, words in _PROBLEMS:
        if isinstance(error, kind):
            return words
    return type(error).__name__


def _response_by(deadline: float) -> Any:  # noqa: ANN401 - stands in for the class HTTPResponse
    def respond(sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:  # noqa: ANN401 - passed through
        response = http.client.HTTPResponse(sock, *args, **kwargs)
        response.fp.close()
        response.fp = io.BufferedReader(_DeadlineReader(sock, deadline))
        return response

    return respond


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until one deadline for all reads: a server that sends byte by byte gets no more time than a silent one."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
