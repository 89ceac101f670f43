"""Works around httptools: of a request that offers to change the protocol its parser skips the body.

The fault is httptools #124 and uvicorn #2722; tests/contract/test_uvicorn_internals.py pins it. A server may
ignore such an offer (RFC 9110, 7.8), and Java's own client offers HTTP/2 in this way.
"""

import re
from collections.abc import Iterable
from typing import Final

_END_OF_HEAD: Final = b"\r\n\r\n"
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_UNKNOWN: Final = b"\r\nx-upgrade:"


def without_offer(data: bytes) -> bytes:
    """The first bytes of a request, with an offer to upgrade under a name that the parser does not know."""
    end = data.find(_END_OF_HEAD)
    offer = _UPGRADE.search(data, 0, len(data) if end < 0 else end)
    return data if offer is None else b"".join((data[: offer.start()], _UNKNOWN, data[offer.end() :]))


def announces_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a body follows these headers, which the parser would take for the next request if it were an upgrade."""
    by_name = dict(headers)
    return b"transfer-encoding" in by_name or by_name.get(b"content-length", b"0") != b"0"
