"""Names where the store has pseudonyms: in every kind of answer, and in questions."""

import csv
import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from query_service.app import create_app
from query_service.names.layer import PROJECT, ShowNames
from query_service.names.registry import ShownNames
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, FailureSeed, RunSeed
from servicekit.auth.keys import Scope as KeyScope
from servicekit.testing import MemoryKeys, cache_of

pytestmark = pytest.mark.anyio

AGENT, HIDDEN, CODE = "~0123456789", "~00000000ff", "pseudonym_aaaaaaaaaa"
NAME = '查询, "订单"'
_SHOWN = ShownNames({AGENT: NAME, "~aaaaaaaaaa": "card_declined"}, {NAME: AGENT})


class Names:
    """A source of names: one project has some."""

    async def of(self, project: str) -> ShownNames:
        return _SHOWN if project == "shop" else ShownNames()


@pytest.fixture
async def clients() -> dict[str, httpx.AsyncClient]:
    """Of two projects that have the same rows."""
    rows: list[Any] = []
    for project in ("shop", "bank"):
        rows += [
            RunSeed(project=project, agent=AGENT, ended_at=NOON + timedelta(seconds=1), end_status="failure", failure_count=1),
            FailureSeed(project=project, failure_code=CODE),
        ]
    keys = MemoryKeys()
    texts = {project: keys.create(KeyScope.READ, project=project) for project in ("shop", "bank")}
    ring = cache_of(keys)
    await ring.refresh()
    transport = httpx.ASGITransport(
        create_app(QuerySettings(), FakeStore(*rows), keys=ring, names=Names(), clock=lambda: NOON + timedelta(hours=1))
    )
    return {
        project: httpx.AsyncClient(transport=transport, base_url="http://query", headers={"x-api-key": text})
        for project, text in texts.items()
    }


async def test_lists_details_and_files_show_names(clients: dict[str, httpx.AsyncClient]) -> None:
    """JSON with its length, lines and CSV alike; a name with commas and quotes is one field."""
    shop = clients["shop"]
    answer = await shop.get("/v1/runs")
    assert answer.headers["content-length"] == str(len(answer.content))
    (run,) = answer.json()["runs"]
    assert run["agent_id"] == NAME
    (failure,) = (await shop.get(f"/v1/runs/{run['run_id']}/failures")).json()["failures"]
    assert failure["failure_code"] == "card_declined"
    lines = (await shop.get("/v1/export", params={"format": "jsonl"})).text.splitlines()
    assert [json.loads(line)["agent_id"] for line in lines] == [NAME]
    rows = list(csv.DictReader((await shop.get("/v1/export")).text.splitlines()))
    assert [row["agent_id"] for row in rows] == [NAME]


async def test_no_other_project_sees_them(clients: dict[str, httpx.AsyncClient]) -> None:
    """Who has no such name has a pseudonym."""
    (run,) = (await clients["bank"].get("/v1/runs")).json()["runs"]
    assert run["agent_id"] == AGENT


async def test_a_name_is_found_by_itself_and_by_its_pseudonym(clients: dict[str, httpx.AsyncClient]) -> None:
    """Any other name of that kind breaks the rule of the parameter, and is not repeated."""
    for name in (NAME, AGENT):
        assert len((await clients["shop"].get("/v1/runs", params={"agent_id": name})).json()["runs"]) == 1
    for client, name in ((clients["shop"], "订单"), (clients["bank"], NAME)):
        refused = await client.get("/v1/runs", params={"agent_id": name, "status": "failure"})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "agent_id")
        assert "订单" not in refused.text
    nobody = await httpx.AsyncClient(transport=clients["shop"]._transport, base_url="http://query").get(
        "/v1/runs", params={"agent_id": NAME}
    )
    assert nobody.status_code == 401


async def _through(pieces: Sequence[bytes], *headers: tuple[bytes, bytes], method: str = "GET") -> list[Message]:
    sent: list[Message] = []

    async def route(scope: Scope, _receive: Receive, send: Send) -> None:
        scope[PROJECT] = "shop"
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for at, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": at < len(pieces) - 1})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    layer = ShowNames(route, names=Names(), project_of=lambda _: "shop")
    await layer({"type": "http", "method": method, "query_string": b"", "headers": []}, receive, send)
    return sent


_LINE = json.dumps({"a": AGENT, "b": HIDDEN, "c": [CODE, "x~0123456789", "~0123456789a", f"{AGENT}/step"]}).encode()
_WANTED = {"a": NAME, "b": HIDDEN, "c": ["card_declined", "x~0123456789", "~0123456789a", f"{NAME}/step"]}


@given(st.lists(st.integers(0, len(_LINE)), max_size=6))
async def test_a_pseudonym_is_seen_wherever_pieces_are_cut(cuts: list[int]) -> None:
    """And nothing is lost or said twice, nor taken for one that only has its digits."""
    ends = sorted({0, *cuts, len(_LINE)})
    pieces = [_LINE[begin:end] for begin, end in pairwise(ends)]
    streamed = await _through(pieces, (b"content-type", b"application/x-ndjson"))
    assert json.loads(b"".join(message.get("body", b"") for message in streamed)) == _WANTED
    length = (b"content-length", str(len(_LINE)).encode())
    head, body = await _through(pieces, (b"content-type", b"application/json"), length)
    assert json.loads(body["body"]) == _WANTED
    assert dict(head["headers"])[b"content-length"] == str(len(body["body"])).encode()


async def test_other_answers_are_left_alone() -> None:
    """Pages and pictures, and the head of an answer that is asked for alone."""
    page, said = await _through([_LINE], (b"content-type", b"text/html"), (b"content-length", b"5"))
    assert (said["body"], dict(page["headers"])[b"content-length"]) == (_LINE, b"5")
    head, empty = await _through([b""], (b"content-type", b"application/json"), (b"content-length", b"99"), method="HEAD")
    assert (empty["body"], dict(head["headers"])[b"content-length"]) == (b"", b"99")
