"""docs/api.md shows requests and answers as they are."""

import json
import re
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
_EXAMPLE = re.compile(
    r"    POST (/v1/\w+)\n    Content-Type: application/json\n\n((?:    .*\n)+)\n    (\d{3}) \w+\n((?:    .*\n)+)"
)
EXAMPLES = _EXAMPLE.findall(PAGE)


def test_there_are_some() -> None:
    """The pattern finds them."""
    assert [path for path, *_ in EXAMPLES] == ["/v1/events", "/v1/runs"]


@pytest.mark.parametrize(("path", "body", "status", "answer"), EXAMPLES)
async def test_an_example_is_answered_as_printed(
    client: httpx.AsyncClient, path: str, body: str, status: str, answer: str
) -> None:
    """All but the id that is made up."""
    found = await client.post(path, content=body)
    printed = json.loads(answer)
    assert found.status_code == int(status)
    assert {**found.json(), "run_id": None} == {**printed, "run_id": None}
    assert found.json().keys() == printed.keys()


async def test_every_route_has_a_heading(client: httpx.AsyncClient) -> None:
    """Those of the gateway; `/health` and the like share a section."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if f"### POST {path}\n" not in PAGE and f"`{path}`" not in PAGE] == []
