"""The examples and the README's programs run as they stand."""

import asyncio
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agenttracer import AgentTracer
from agenttracer.testing import capture_events
from agenttracer.wire.vocabulary import FailureCode, FailureType
from tests.unit.sdk.fake_gateway import FakeGateway

SDK = Path(__file__).resolve().parents[3] / "sdk"


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location(f"example_{request.param}", SDK / "examples" / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def unfinished(gateway: FakeGateway) -> set[str]:
    ids = [{event["run_id"] for event in gateway.of_kind(kind)} for kind in ("run_started", "run_finished")]
    return ids[0] - ids[1]


def assert_complete(gateway: FakeGateway) -> None:
    """Every run that ended arrived with as many events as it says."""
    seen = Counter(event["run_id"] for event in gateway.events if "seq" in event)
    assert all(seen[end["run_id"]] == end["emitted"] for end in gateway.of_kind("run_finished"))


@pytest.mark.parametrize("example", ["support_agent"], indirect=True)
def test_the_support_agent_reports_what_it_sent(example: ModuleType, gateway: FakeGateway) -> None:
    """All runs end and are complete; the retry is a second attempt; no ticket or answer is in the telemetry."""
    report = asyncio.run(example.main(gateway.url))
    assert report.events == len(gateway.events)
    assert report.runs == len(gateway.of_kind("run_finished")) == len(example.TICKETS)
    assert_complete(gateway)
    attempts = [(step["name"], step.get("attempt", 1), step["status"]) for step in gateway.of_kind("step_finished")]
    assert ("lookup_order", 1, "error") in attempts
    assert ("lookup_order", 2, "ok") in attempts
    assert "A-1001" not in str([request.batch for request in gateway.requests])


@pytest.mark.parametrize("example", ["fleet"], indirect=True)
def test_the_fleet_reports_what_it_sent(example: ModuleType, gateway: FakeGateway) -> None:
    """Every failure code of the contract is to be expected, every type is recorded, and exactly one run never ends."""
    report = asyncio.run(example.main(gateway.url, runs=60))
    assert report.events == len([event for event in gateway.events if "seq" in event])
    assert report.runs == len(gateway.of_kind("run_started")) == 60
    assert len(unfinished(gateway)) == 1
    assert_complete(gateway)
    assert set(FailureCode) <= report.failure_codes
    assert {failure["failure_type"] for failure in gateway.of_kind("failure_recorded")} == set(FailureType)
    assert any("parent_step_id" in step for step in gateway.of_kind("step_finished"))


@pytest.mark.parametrize("example", ["fleet"], indirect=True)
def test_equal_seeds_make_equal_fleets(example: ModuleType) -> None:
    """The demo can be compared with itself."""

    def shape(seed: int) -> tuple[Any, ...]:
        return tuple((plan.trouble, plan.recovers, plan.recorded) for plan in example.plans(100, seed))

    assert shape(1) == shape(1) != shape(2)


def test_the_readmes_program_runs_as_printed(gateway: FakeGateway) -> None:
    """With another address only: two steps, a failure, a start and an end arrive."""
    program, decorated, test_program = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), flags=re.DOTALL)
    exec(compile(program.replace("http://127.0.0.1:8000", gateway.url), "README", "exec"), {})
    kinds = Counter(event["type"] for event in gateway.events)
    assert kinds == {"run_started": 1, "step_finished": 2, "failure_recorded": 1, "run_finished": 1}
    assert "stays in this process" not in str([request.batch for request in gateway.requests])
    with capture_events() as events:
        tracer = AgentTracer(agent_id="agent", agent_version="1")
        scope: dict[str, Any] = {"tracer": tracer}
        exec(compile(decorated, "README", "exec"), scope)
        asyncio.run(scope["answer"]("a question"))
        tracer.shutdown(0)
    assert [event.type for event in events] == ["run_started", "step_finished", "run_finished"]
    exec(compile(test_program, "README", "exec"), {"run_my_agent": one_small_run})


def one_small_run() -> None:
    tracer = AgentTracer(agent_id="agent", agent_version="1")
    with tracer.start_run() as run, run.step("tool", "lookup"):
        pass
    tracer.shutdown(0)


def test_captures_nest_and_end() -> None:
    """The innermost capture gets the events; tracers made inside one send again after it."""
    with capture_events() as outer:
        with capture_events() as inner:
            one_small_run()
        assert (len(outer), len(inner)) == (0, 3)
        one_small_run()
    assert (len(outer), len(inner)) == (3, 3)
