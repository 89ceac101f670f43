"""The OpenAPI document and the pages for ops."""

from typing import Any

import httpx
import pytest

from query_service.api.detail_schema import FailureSchema, FailuresSchema, StepSchema, StepsSchema
from query_service.api.run_schema import OneRunSchema, RunSchema, RunsSchema
from query_service.api.stats_schema import StatsSchema
from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import DEFAULT_RUN, RunSeed
from servicekit.http.error_handlers import ErrorAnswer
from servicekit.testing import MemoryKeys, cache_of

pytestmark = pytest.mark.anyio
RUN = "/v1/runs/{run_id}"
ROUTES = [
    *(
        "/v1/runs",
        "/v1/runs/facets",
        "/v1/sessions",
        RUN,
        f"{RUN}/steps",
        f"{RUN}/steps/{{step_id}}",
        f"{RUN}/failures",
        f"{RUN}/children",
        f"{RUN}/tree",
        f"{RUN}/export",
    ),
    *(
        "/v1/stats",
        "/v1/series",
        "/v1/agents",
        "/v1/names",
        "/v1/heatmap",
        "/v1/compare",
        "/v1/compare/runs",
        "/v1/explain",
        "/v1/usage",
    ),
    *("/v1/failures", "/v1/failures/{fingerprint}", "/v1/session"),
]


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    parsed: dict[str, Any] = answer.json()
    return parsed


async def test_every_route_is_documented(client: httpx.AsyncClient) -> None:
    """Every data route has a summary, an example of its answer, and examples of every error that it can give."""
    api = await document(client)
    assert set(api["paths"]) == {*ROUTES, "/v1/export", "/v1/tail", "/health", "/ready", "/metrics"}
    for path in ROUTES:
        operation = api["paths"][path]["get"]
        assert operation["summary"]
        answers = operation["responses"]
        assert set(answers) == {"200", "401", "403", "422", "500", "503"} | (
            {"404"} if "{" in path or path == "/v1/compare/runs" else set()
        )
        name = answers["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert api["components"]["schemas"][name]["examples"]
        for status in set(answers) - {"200"}:
            content = answers[status]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
            assert ErrorAnswer.model_validate(content["example"])


async def test_reasons_to_wait_are_documented(client: httpx.AsyncClient) -> None:
    """Every code of a 503 stands in the document, that of a project that asks too much at once among them."""
    said = (await document(client))["paths"]["/v1/stats"]["get"]["responses"]["503"]["description"]
    for code in ("store_unreachable", "store_busy", "project_busy", "store_not_ready", "keys_unavailable", "query_timeout"):
        assert f"`{code}`" in said


async def test_every_parameter_is_documented(client: httpx.AsyncClient) -> None:
    """Every parameter has a description and a bounded form, and none offers null."""
    api = await document(client)
    for path in ROUTES:
        for parameter in api["paths"][path]["get"].get("parameters", []):
            assert parameter["description"], parameter["name"]
            assert "anyOf" not in parameter["schema"], parameter["name"]


@pytest.mark.parametrize(
    "answer", [RunSchema, OneRunSchema, RunsSchema, StepSchema, StepsSchema, FailureSchema, FailuresSchema, StatsSchema]
)
def test_examples_fit(answer: Any) -> None:
    """Every example in the document is a valid answer, and complete."""
    [example] = answer.model_config["json_schema_extra"]["examples"]
    assert answer.model_validate(example).model_dump(mode="json") == example


async def test_metrics_name_templates_only(client: httpx.AsyncClient, store: FakeStore) -> None:
    """Requests are counted by route template and class of status; nothing of a path or a query becomes a label."""
    store.rows.append(RunSeed())
    for path in (
        f"/v1/runs/{DEFAULT_RUN}",
        "/v1/runs/canary7f3a",
        "/canary7f3a",
        "/v1/runs?agent_id=canary7f3a",
        "/v1/runs?canary7f3a",
    ):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert "canary7f3a" not in text
    for route, status_class in (
        ("/v1/runs/{run_id}", "2xx"),
        ("/v1/runs/{run_id}", "4xx"),
        ("unmatched", "4xx"),
        ("/v1/runs", "2xx"),
    ):
        assert f'agenttracer_query_requests_total{{route="{route}",status_class="{status_class}"}} 1.0' in text
    assert 'agenttracer_query_request_seconds_count{route="/v1/runs",status_class="4xx"} 1.0' in text


async def test_metrics_are_of_one_app(client: httpx.AsyncClient) -> None:
    """Two apps in one process count for themselves."""
    await client.get("/v1/runs")
    other = httpx.ASGITransport(create_app(QuerySettings(), FakeStore(), keys=cache_of(MemoryKeys())))
    async with httpx.AsyncClient(transport=other, base_url="http://other") as second:
        assert "/v1/runs" not in (await second.get("/metrics")).text
