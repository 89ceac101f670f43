"""From a call of the SDK to JSON of the query service, through real processes."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agenttracer import AgentTracer
from agenttracer_cli.local.local_key import local_key_file
from tests.support.pipeline import Pipeline, get_json
from tests.support.stacks import until


@pytest.fixture
def urls(pipeline: Pipeline) -> tuple[str, str]:
    """Gateway and query service, with a worker between them."""
    pipeline.worker(wait=False)
    query = pipeline.query()
    return pipeline.gateway().url, query.url


def _visible(query_url: str, run_id: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        answer = httpx.get(f"{query_url}/v1/runs/{run_id}", timeout=10)
        ended = answer.status_code == 200 and answer.json()["status"] != "running"
        return answer.json() if ended else None

    return until(found, timeout_s=60, what="the run is visible", every_s=0.2)


def test_a_failed_run_is_told_step_by_step(urls: tuple[str, str]) -> None:
    """Order, nesting, attempts, metadata and the failure at its step come out as the agent lived them; its text does not."""
    gateway_url, query_url = urls
    tracer = AgentTracer(agent_id="support agent", agent_version="1.4.0", api_url=gateway_url)
    with pytest.raises(TimeoutError, match="canary"), tracer.start_run() as run:  # noqa: PT012 - the agent under test
        with run.step("plan", "choose_tools"):
            pass
        with run.step("retrieve", "search_kb") as step:
            step.add_metadata({"result_count": 3, "model": "gpt-4o", "query": "canary question"})
        with run.step("tool", "refund"), run.step("tool", "lookup_order"):
            raise TimeoutError("canary message")
    assert tracer.flush().complete
    tracer.shutdown()

    found = _visible(query_url, run.run_id)
    assert (found["agent_id"], found["agent_version"], found["status"]) == ("support-agent", "1.4.0", "failure")
    assert found["completeness"]["state"] == "complete"
    steps = get_json(f"{query_url}/v1/runs/{run.run_id}/steps")["steps"]
    assert [step["name"] for step in steps] == ["choose_tools", "search_kb", "refund", "lookup_order"]
    assert steps[3]["parent_step_id"] == steps[2]["step_id"]
    assert steps[1]["metadata"] == {"result_count": 3, "model": "gpt-4o"}
    failures = get_json(f"{query_url}/v1/runs/{run.run_id}/failures")["failures"]
    assert [(one["failure_type"], one["failure_code"], one["step_id"]) for one in failures] == [
        ("tool", "timeout", steps[3]["step_id"])
    ]
    everything = repr((found, steps, failures))
    assert "canary" not in everything


def test_a_run_posted_as_a_document_is_told_the_same_way(urls: tuple[str, str]) -> None:
    """The simple way in gives the same rows: steps in order and the failure at its step."""
    gateway_url, query_url = urls
    document = {
        "agent_id": "batch-agent",
        "agent_version": "2.0",
        "status": "failure",
        "steps": [
            {"kind": "retrieve", "name": "search", "latency_ms": 12.5},
            {"kind": "tool", "name": "charge", "latency_ms": 40},
        ],
        "failure": {"failure_type": "tool", "failure_code": "card_declined", "step": "charge"},
    }
    key = local_key_file(urlsplit(gateway_url).port or 0).read_text().strip()
    answer = httpx.post(f"{gateway_url}/v1/runs", json=document, headers={"x-api-key": key}, timeout=10)
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["run_id"]
    assert _visible(query_url, run_id)["failure"]["failure_code"] == "card_declined"
    steps = get_json(f"{query_url}/v1/runs/{run_id}/steps")["steps"]
    assert [(step["name"], step["latency_ms"]) for step in steps] == [("search", 12.5), ("charge", 40.0)]


def test_statistics_count_what_was_stored(urls: tuple[str, str]) -> None:
    """Runs, failures and steps of an agent are counted by version and step, with latencies."""
    gateway_url, query_url = urls
    tracer = AgentTracer(agent_id="counted", agent_version="3", api_url=gateway_url)
    for number in range(10):
        with tracer.start_run() as run, run.step("tool", "work"):
            if number < 3:
                run.record_failure(failure_type="tool", failure_code="timeout", message="canary")
    assert tracer.flush().complete
    tracer.shutdown()

    def counted() -> dict[str, Any] | None:
        stats = get_json(f"{query_url}/v1/stats", agent_id="counted")
        return stats if stats["agents"] and stats["agents"][0]["runs"] == 10 else None

    stats = until(counted, timeout_s=60, what="ten runs are counted", every_s=0.2)
    assert stats["agents"][0]["failure_rate"] == pytest.approx(0.3)
    assert stats["steps"][0]["steps"] == 10
