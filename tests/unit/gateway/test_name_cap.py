"""Names beyond a day's number are counted as other, and everybody else's are untouched."""

import json

import pytest

from agenttracer.wire.envelope import Producer
from agenttracer.wire.events import StepFinished
from agenttracer.wire.vocabulary import StepKind, StepStatus
from producer_gateway.check import Checked, check
from producer_gateway.metrics import Metrics
from producer_gateway.name_cap import NameCap
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records

FAILURE = {"type": "failure_recorded", "run_id": make.RUN, "seq": 3, "failure_id": "b7ad6b7169203331", "failure_type": "tool"}


def checked(*names: str, agent: str = "a", version: str = "1") -> Checked:
    producer = {"id": "p", "agent": agent, "agent_version": version}
    events = [make.step(seq=seq, name=name) for seq, name in enumerate(names)] or [make.started()]
    return check(json.dumps(make.batch(*events, producer=producer)).encode(), events_max=100)


def steps(of: Checked) -> list[str]:
    return [event.name for event in of.events if isinstance(getattr(event, "name", None), str)]  # type: ignore[union-attr]


def test_below() -> None:
    """Below the number nothing is touched or built again, however often names come."""
    cap, batch = NameCap(names_max=2), checked("x", "y", "x")
    for _ in range(3):
        assert cap.apply(batch, project="p", day=1) is batch


def test_beyond() -> None:
    """What is known stays, what is new becomes other, counted; the rest of the event is as it was."""
    cap = NameCap(names_max=2)
    cap.apply(checked("x", "y"), project="p", day=1)
    batch = checked("y", "z", "x", "w")
    capped = cap.apply(batch, project="p", day=1)
    assert steps(capped) == ["y", "__other__", "x", "__other__"]
    assert capped.dropped == {"too_many_names": 2}
    assert [event.seq for event in capped.events] == [0, 1, 2, 3]
    assert cap.apply(capped, project="p", day=1) is capped


def test_agents_and_versions() -> None:
    """Agents and versions count as well, each for itself."""
    cap = NameCap(names_max=1)
    cap.apply(checked(agent="a", version="1"), project="p", day=1)
    capped = cap.apply(checked(agent="b", version="1"), project="p", day=1)
    assert (capped.producer.agent, capped.producer.agent_version) == ("__other__", "1")
    capped = cap.apply(checked(agent="a", version="2"), project="p", day=1)
    assert (capped.producer.agent, capped.producer.agent_version) == ("a", "__other__")


def test_projects_and_days() -> None:
    """One project's names take no other's place, and a new day begins with none."""
    cap = NameCap(names_max=1)
    cap.apply(checked("x"), project="p", day=1)
    for project, day in (("q", 1), ("p", 2)):
        batch = checked("y")
        assert cap.apply(batch, project=project, day=day) is batch


def test_many_projects() -> None:
    """However many projects come, what is remembered of them is bounded."""
    cap = NameCap(names_max=1)
    for number in range(2_000):
        cap.apply(checked("x"), project=f"p{number}", day=1)
    assert len(cap._projects) <= 512


def test_a_busy_project_is_remembered() -> None:
    """Forgotten is who was silent longest, so that nobody's cap begins anew while it sends."""
    cap = NameCap(names_max=1)
    cap.apply(checked("x"), project="busy", day=1)
    for number in range(2_000):
        cap.apply(checked("x"), project=f"p{number}", day=1)
        assert steps(cap.apply(checked("y"), project="busy", day=1)) == ["__other__"]


def test_dataclasses() -> None:
    """Events in the contract's own classes are renamed alike."""
    event = StepFinished(
        run_id=make.RUN,
        seq=0,
        step_id="b7ad6b7169203331",
        kind=StepKind.TOOL,
        name="new",
        started_at=make.NOW_US,
        duration_us=1,
        status=StepStatus.OK,
    )
    cap = NameCap(names_max=1)
    cap.apply(checked("x"), project="p", day=1)
    plain = Checked(producer=Producer(id="p", agent="a", agent_version="1"), events=[event], indices=[0])
    assert steps(cap.apply(plain, project="p", day=1)) == ["__other__"]


@pytest.mark.anyio
async def test_route(gateway: Gateway, records: Records, metrics: Metrics) -> None:
    """The answer counts what was renamed, the record has it so, and failure codes become `other`."""
    codes = [{**FAILURE, "occurred_at": make.NOW_US, "failure_code": code} for code in ("first", "second")]
    async with gateway(names_max_per_day=1) as client:
        answer = await client.post("/v1/events", json=make.batch(make.step(), make.step(name="second"), *codes))
    assert answer.json() == {"accepted": 4, "rejected": [], "dropped": {"too_many_names": 2}}
    (record,) = records()
    assert [event.get("name") or event["failure_code"] for event in record["events"]] == [
        "refund-api",
        "__other__",
        "first",
        "other",
    ]
    assert metrics.registry.get_sample_value("agenttracer_gateway_values_dropped_total", {"rule": "too_many_names"}) == 2


@pytest.mark.anyio
async def test_traces(gateway: Gateway, records: Records) -> None:
    """Spans are held to the same number."""
    span = {"traceId": "0" * 31 + "1", "parentSpanId": "00000000000000ff", "startTimeUnixNano": "1768469400000000000"}
    spans = [
        {**span, "spanId": f"{at:016x}", "attributes": [{"key": "gen_ai.tool.name", "value": {"stringValue": f"tool-{at}"}}]}
        for at in range(1, 4)
    ]
    for each in spans:
        each["endTimeUnixNano"] = each["startTimeUnixNano"]
        each["attributes"].append({"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}})  # type: ignore[attr-defined]
    async with gateway(names_max_per_day=2) as client:
        answer = await client.post("/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    assert answer.status_code == 200
    (record,) = records()
    assert [event["name"] for event in record["events"]] == ["tool-1", "tool-2", "__other__"]
