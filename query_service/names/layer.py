"""ASGI layer over all routes: answers have names where the store has pseudonyms, and a question may ask for such a name.

Pseudonyms have a form that nothing else in an answer has, so that they are found in the text, whatever route made it. A name that
is no name to the store (another script) is looked for by its pseudonym: parameters are rewritten before a route reads them.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agenttracer.rules.names.pseudonyms import CODE_PREFIX
from agenttracer.wire import form
from query_service.names.registry import NameSource
from servicekit.http.errors import HttpError

PROJECT: Final = "agenttracer.project"
"""Under this key of the request's scope stands the project that it is answered for."""
_PSEUDONYM: Final = re.compile(rb"(?<![0-9A-Za-z_~])(?:~|" + CODE_PREFIX.encode() + rb")([0-9a-f]{10})(?![0-9a-zA-Z])")
_CUT_OFF: Final = re.compile(rb"[~0-9a-z_]{1,20}\Z")
"""The end of a piece of an answer, in which a pseudonym may have begun."""
_CSV: Final = "text/csv"
_JSON: Final = ("application/json", "application/x-ndjson", "text/event-stream")


class ShowNames:
    """Only answers for a project are looked at, and only where that project has names to show."""

    def __init__(self, app: ASGIApp, *, names: NameSource, project_of: Callable[[Request], str]) -> None:
        self._app = app
        self._names = names
        self._project_of = project_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _asks_for_other_names(scope["query_string"]):
            scope["query_string"] = await self._with_pseudonyms(scope)  # in place: outer layers read what routes note in it
        await self._app(scope, receive, _Answer(scope, self._names, send).send)

    async def _with_pseudonyms(self, scope: Scope) -> bytes:
        query: bytes = scope["query_string"]
        try:
            names = await self._names.of(self._project_of(Request(scope)))
        except HttpError:
            return query  # the route says so itself
        said = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        known = [(name, names.pseudonyms.get(" ".join(value.split()), value)) for name, value in said]
        return query if known == said else urlencode(known).encode()


def _asks_for_other_names(query: bytes) -> bool:
    """Whether a value has letters beyond ASCII, or more than a name: names of that kind are stored as pseudonyms everywhere."""
    if b"%" not in query and len(query) <= form.NAME_MAX_CHARS:
        return False
    values = (value for _, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    return any(not value.isascii() or len(value) > form.NAME_MAX_CHARS for value in values)


class _Answer:
    """One answer on its way. The head of a whole answer waits for its text, whose length changes."""

    def __init__(self, scope: Scope, names: NameSource, send: Send) -> None:
        self._scope = scope
        self._source = names
        self._send = send
        self._names: Mapping[bytes, bytes] | None = None
        self._head: Message | None = None
        self._kept = b""

    async def send(self, message: Message) -> None:
        """Pass a message on, or what it becomes."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._names is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            await self._body(message.get("body", b""), more=message.get("more_body", False))

    async def _begin(self, message: Message) -> None:
        project = self._scope.get(PROJECT)
        media = Headers(raw=message["headers"]).get("content-type", "").partition(";")[0]
        if project is not None and media in {*_JSON, _CSV} and self._scope["method"] != "HEAD":
            by_pseudonym = (await self._source.of(project)).by_pseudonym
            written = _in_csv if media == _CSV else _in_json
            self._names = {pseudonym[1:].encode(): written(name) for pseudonym, name in by_pseudonym.items()} or None
        if self._names is not None and "content-length" in Headers(raw=message["headers"]):
            self._head = message
        else:
            await self._send(message)

    async def _body(self, body: bytes, *, more: bool) -> None:
        text = self._kept + body
        cut = _CUT_OFF.search(text) if more else None
        if more and self._head is not None:
            self._kept = text
            return
        self._kept = b"" if cut is None else cut[0]
        shown = _PSEUDONYM.sub(self._name, text if cut is None else text[: cut.start()])
        if self._head is not None:
            MutableHeaders(raw=self._head["headers"])["content-length"] = str(len(shown))
            await self._send(self._head)
        await self._send({"type": "http.response.body", "body": shown, "more_body": more})

    def _name(self, found: re.Match[bytes]) -> bytes:
        assert self._names is not None
        return self._names.get(found[1], found[0])


def _in_json(name: str) -> bytes:
    return json.dumps(name, ensure_ascii=False)[1:-1].encode()


def _in_csv(name: str) -> bytes:
    return ('"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"') else name).encode()
