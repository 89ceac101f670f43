"""The pages for people: files that `query_service/ui` is built to, read once and served with their ready-made compressed forms.

No template and no data is in them: a page asks the public API for everything, as any client does. Their headers keep a browser
from loading anything from elsewhere and from running anything that is not a file of these.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_service.errors import PagesNotBuiltError

BUILT: Final = Path(__file__).parents[1] / "ui" / "dist"
PAGE_PATHS: Final = (
    "/",
    "/runs",
    "/runs/{run_id}",
    "/failures",
    "/failures/{fingerprint}",
    "/agents",
    "/agents/{agent_id:path}",
    "/compare",
    "/sessions",
    "/sessions/{session}",
    "/trust",
    "/docs",
)
"""Each is the same document, whose script shows what the address asks for. Any other address stays a 404."""
ASSET_PATHS: Final = ("/assets/{name}", "/favicon.svg")
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_EVERY_RESPONSE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
_EVERY_PAGE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class BuiltFile:
    """One file in all the forms that it is served in, by content encoding; `""` is the file as it is."""

    media_type: str
    forms: Mapping[str, bytes]
    etag: str

    @classmethod
    def read(cls, path: Path) -> "BuiltFile":
        """With those of its compressed forms that lie beside it."""
        plain = path.read_bytes()
        beside = {encoding: path.with_name(path.name + suffix) for encoding, suffix in _ENCODINGS}
        packed = {encoding: file.read_bytes() for encoding, file in beside.items() if file.is_file()}
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        textual = kind.startswith("text/") or kind in {"application/javascript", "image/svg+xml"}
        return cls(f"{kind}; charset=utf-8" if textual else kind, {"": plain, **packed}, hashlib.sha256(plain).hexdigest()[:16])


@dataclass(frozen=True)
class BuiltPages:
    """Everything that was built, by its path below the folder. Empty where nothing was."""

    files: Mapping[str, BuiltFile] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "BuiltPages":
        """All files of `folder`; the compressed ones belong to those that they are made of."""
        suffixes = tuple(suffix for _, suffix in _ENCODINGS)
        names = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(suffixes)]
        return cls({path.relative_to(folder).as_posix(): BuiltFile.read(path) for path in names})


@cache
def built_pages() -> BuiltPages:
    """Those that were installed with this service."""
    return BuiltPages.read(BUILT)


def pages_router(built: BuiltPages) -> APIRouter:
    """A route for each kind of page, all answered with the same document, and one for what it loads."""
    router = APIRouter(include_in_schema=False)

    async def page(request: Request) -> Response:
        return _answer(built, "index.html", request, cache_control="no-cache")

    async def asset(request: Request) -> Response:
        name = request.url.path.removeprefix("/")
        return _answer(built, name, request, cache_control=_FOR_EVER if name.startswith("assets/") else "no-cache")

    for path in PAGE_PATHS:
        router.add_api_route(path, page, methods=["GET"])
    for path in ASSET_PATHS:
        router.add_api_route(path, asset, methods=["GET"])
    return router


def _answer(built: BuiltPages, name: str, request: Request, *, cache_control: str) -> Response:
    if not built.files:
        raise PagesNotBuiltError
    found = built.files.get(name)
    if found is None:
        raise HTTPException(404)
    headers = {**_EVERY_PAGE, "Cache-Control": cache_control, "ETag": f'"{found.etag}"', "Vary": "Accept-Encoding"}
    if f'"{found.etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    encoding = _encoding(request.headers.get("accept-encoding", ""), found.forms)
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(found.forms[encoding], media_type=found.media_type, headers=headers)


def _encoding(accepted: str, forms: Mapping[str, bytes]) -> str:
    """The smallest form that the client takes."""
    named = {part.partition(";")[0].strip() for part in accepted.split(",") if not part.replace(" ", "").endswith(";q=0")}
    return next((encoding for encoding, _ in _ENCODINGS if encoding in forms and encoding in named), "")


class SecurityHeaders:
    """ASGI layer: no answer is taken for another type than it says, nor read by another site; data stays out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add to the head of its answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *_EVERY_RESPONSE]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers)
