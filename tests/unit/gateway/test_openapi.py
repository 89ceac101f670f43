"""The OpenAPI document says what the gateway takes, truthfully."""

import json
import re
from typing import Any

import httpx
import pytest

from agenttracer.wire.events import EVENT_KINDS
from producer_gateway.api.openapi import BATCH_EXAMPLE, contract_schemas
from producer_gateway.events.run_document import EXAMPLE, MINIMAL_EXAMPLE
from servicekit import codec

pytestmark = pytest.mark.anyio


async def test_references_lead_somewhere(client: httpx.AsyncClient) -> None:
    """Every reference in the document is resolved in it."""
    document = (await client.get("/openapi.json")).json()
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert wanted <= document["components"]["schemas"].keys()
    assert {kind.__name__ for kind in EVENT_KINDS} | {"Batch", "RunDocument", "IngestErrorAnswer"} <= wanted


async def test_otlp_in_json_is_described_down_to_attributes(client: httpx.AsyncClient) -> None:
    """The document shows all that is read of a request, so that requests made from it reach the decoder."""
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/v1/traces"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/OtlpJsonRequest"}
    schemas = document["components"]["schemas"]
    assert schemas["OtlpJsonSpan"]["properties"].keys() >= {"traceId", "spanId", "parentSpanId", "status", "attributes", "events"}
    assert schemas["OtlpValue"]["properties"].keys() >= {"stringValue", "intValue", "arrayValue"}


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/redoc"])
async def test_no_page_loads_scripts_from_elsewhere(client: httpx.AsyncClient, path: str) -> None:
    """The document itself is all there is."""
    assert (await client.get(path)).status_code == 404


async def test_every_status_is_described(client: httpx.AsyncClient) -> None:
    """Both routes name the answers that they give."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    for route in ("/v1/events", "/v1/runs"):
        assert set(paths[route]["post"]["responses"]) >= {"202", "400", "401", "403", "408", "413", "415", "422", "503"}


@pytest.mark.parametrize(
    ("route", "example"), [("/v1/events", BATCH_EXAMPLE), ("/v1/runs", EXAMPLE), ("/v1/runs", MINIMAL_EXAMPLE)]
)
async def test_examples_are_accepted(client: httpx.AsyncClient, route: str, example: dict[str, Any]) -> None:
    """What the document shows is accepted whole."""
    answer = await client.post(route, json=example)
    assert (answer.status_code, answer.json()["dropped"], answer.json().get("rejected", [])) == (202, {}, [])


def test_the_batch_example_is_flawless() -> None:
    """The example takes the fast path."""
    assert codec.read_batch(json.dumps(BATCH_EXAMPLE).encode()) is not None


def test_every_member_is_described() -> None:
    """The schema of an event has exactly the contract's members and its tag."""
    schemas = contract_schemas()
    for kind in EVENT_KINDS:
        assert schemas[kind.__name__]["properties"].keys() == {"type", *kind.__dataclass_fields__}
