"""A request that carries canaries, and those that carry them outside of their bodies: in addresses and headers. Pure."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.firewall.canaries import Canaries

JSON: Final = {"content-type": "application/json"}
PROTOBUF: Final = {"content-type": "application/x-protobuf"}
_HEADERS: Final = (
    *("content-type", "content-encoding", "accept", "accept-encoding", "baggage", "user-agent", "traceparent", "tracestate"),
    *(
        "authorization",
        "x-api-key",
        "cookie",
        "referer",
        "origin",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-request-id",
        "expect",
        "range",
    ),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What is posted where. `plain` is the body before it was compressed."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"
    plain: bytes | None = None

    def everything(self) -> bytes:
        """All that was said, uncompressed: where a control looks."""
        return b"\n".join((self.url.encode(), json.dumps(dict(self.headers)).encode(), self.plain or self.body))


def of_json(url: str, body: Any) -> Sent:
    """Posted as JSON."""
    return Sent(url, json.dumps(body).encode())


def gzipped(sent: Sent) -> Sent:
    """The same, compressed."""
    packed = gzip.compress(sent.body, 1)
    return Sent(sent.url, packed, {**sent.headers, "content-encoding": "gzip"}, sent.method, sent.body)


def torn(sent: Sent, *, cut: int = 9) -> Sent:
    """The same without its end."""
    plain = sent.plain or sent.body
    return Sent(sent.url, sent.body[:-cut], sent.headers, sent.method, plain)


def around(sing: Canaries, url: str, body: bytes) -> Iterator[Sent]:
    """Canaries in the path, the query string, methods and every header of requests to `url`, and bodies that are nothing."""
    for headers in (JSON, PROTOBUF, {**JSON, "content-encoding": "gzip"}):
        yield Sent(url, sing.text().encode(), headers)
        yield Sent(f"{url}?{sing.token()}={sing.token()}", sing.token().encode(), headers)
        yield Sent(f"{url}/{sing.token()}", body, headers)
        yield Sent(f"/{sing.token()}/?{sing.token()}", body, headers)
    for name in (*_HEADERS, f"x-{sing.token()}"):
        yield Sent(url, body, {**JSON, name: sing.token()})
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        yield Sent(f"{url}?{sing.token()}", sing.token().encode(), {**JSON, "x-why": sing.token()}, method)
    yield Sent(url, b'"' + sing.token().encode() + b"\xff")
    yield Sent(url, sing.text().encode("utf-16"))
