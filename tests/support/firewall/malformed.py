"""HTTP that is none, with canaries in it, said over bare sockets. A client library would never send these."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.firewall.canaries import Canaries


def requests(sing: Canaries, path: str, *, key: str | None = None) -> Iterator[bytes]:
    """Wrong methods, versions, header lines, lengths and chunks, and bodies that end too early; from who has a key, if given."""
    head = "Host: 127.0.0.1\r\nContent-Type: application/json\r\n" + (f"X-Api-Key: {key}\r\n" if key else "")
    yield f"{sing.token()} {path} HTTP/1.1\r\n{head}\r\n".encode()
    yield f"POST {path} {sing.token()}\r\n{head}\r\n".encode()
    yield f"POST {sing.text()} HTTP/1.1\r\n{head}\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\n{head}{sing.text()}\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\n{head}{sing.token()} : {sing.token()}\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\nHost: {sing.text()}\r\nContent-Length: {sing.token()}\r\n\r\n".encode()
    chunks = f"{sing.token()}\r\n{sing.token()}\r\n0\r\n\r\n"
    yield f"POST {path} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n{chunks}".encode()
    yield f"POST {path} HTTP/1.1\r\n{head}Content-Length: 900\r\n\r\n{sing.text()}".encode()
    yield f"POST {path} HTTP/1.1\r\n{head}Upgrade: {sing.token()}\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n".encode()
    yield f"POST {path} HTTP/1.1\r\n{head}X-Long: {sing.token() * 9_000}\r\n\r\n".encode()
    yield sing.text().encode() * 20


def said_to(url: str, request: bytes) -> bytes:
    """Send it, say that nothing follows, and answer all that comes back."""
    place = urlsplit(url)
    answer = bytearray()
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection, suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            answer += part
    return bytes(answer)
