"""How much a key may send, who has to wait when room is short, and what is told of each project."""

import asyncio
import gzip
import itertools
import json

import pytest

from producer_gateway.errors import OverloadedError
from producer_gateway.events.run_document import MINIMAL_EXAMPLE
from producer_gateway.limits.admission import Admission
from producer_gateway.limits.rate_limit import RateLimit
from producer_gateway.metrics import GatewayMetrics
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway, Records
from tests.unit.gateway.otlp import spans
from tests.unit.gateway.otlp.spans import Json


def test_off() -> None:
    """Without a limit nobody waits and nothing is remembered."""
    rate = RateLimit(per_s=0, burst_s=10)
    rate.charge("k", 1e9, now=0)
    assert (rate.wait_s("k", now=0), rate._buckets) == (0, {})


def test_burst_and_refill() -> None:
    """A full bucket may be emptied at once; then the key waits until there is one more, and no other key does."""
    rate = RateLimit(per_s=10, burst_s=2)
    rate.charge("k", 19, now=0)
    assert rate.wait_s("k", now=0) == 0
    rate.charge("k", 11, now=0)
    assert rate.wait_s("k", now=0) == pytest.approx(1.1)
    assert rate.wait_s("other", now=0) == 0
    assert rate.wait_s("k", now=1.2) == 0


def test_no_more_than_full() -> None:
    """Silence fills the bucket and no more."""
    rate = RateLimit(per_s=10, burst_s=2)
    rate.charge("k", 0, now=0)
    rate.charge("k", 25, now=1_000)
    assert rate.wait_s("k", now=1_000) > 0


def test_many_keys() -> None:
    """Full buckets are forgotten, so that keys that come and go take no memory."""
    rate = RateLimit(per_s=10, burst_s=2)
    for number in range(25_000):
        rate.charge(f"k{number}", 1, now=float(number))
    assert len(rate._buckets) <= 10_000


@pytest.mark.anyio
@pytest.mark.parametrize("limit", ["rate_events_per_s", "rate_bytes_per_s"])
async def test_route(gateway: Gateway, records: Records, limit: str) -> None:
    """A request larger than the bucket is taken whole; then there is 429 and Retry-After, and nothing of a request is taken."""
    async with gateway(**{limit: 0.5}, rate_burst_s=2) as client:
        body = make.body(make.started(), make.step())
        assert (await client.post("/v1/events", content=body)).status_code == 202
        taken = len(records())
        answer = await client.post("/v1/events", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 2
        traces = await client.post("/v1/traces", content=b"{}")
        assert (traces.status_code, traces.json()["code"]) == (429, 8)
    assert len(records()) == taken


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limit", "route", "body", "headers"),
    [
        ("rate_bytes_per_s", "/v1/events", gzip.compress(b" " * 50_000_000), {"content-encoding": "gzip"}),
        ("rate_bytes_per_s", "/v1/events", b"\x1f\x8b" + b"x" * 9_000, {"content-encoding": "gzip"}),
        ("rate_bytes_per_s", "/v1/traces", b"[" * 9_000, {}),
        ("rate_events_per_s", "/v1/events", make.body(*[make.started(run_id="none")] * 5_000), {}),
        ("rate_events_per_s", "/v1/traces", spans.as_json(*[spans.span(spanId="zz")] * 5_000), {}),
    ],
    ids=["bomb", "no gzip", "no JSON", "events", "spans"],
)
async def test_what_is_refused_costs_as_much(gateway: Gateway, limit: str, route: str, body: bytes, headers: Json) -> None:
    """A key that sends nothing but rubbish has to wait as others do."""
    async with gateway(**{limit: 1_000}, rate_burst_s=2) as client:
        first = await client.post(route, content=body, headers=headers)
        assert first.status_code not in {202, 429}
        assert (await client.post(route, content=body, headers=headers)).status_code == 429


@pytest.mark.anyio
async def test_projects(gateway: Gateway, keys: MemoryKeys) -> None:
    """Each project has its own rate, which its keys share: more keys are not more room."""
    second = {"authorization": f"Bearer {keys.create(Scope.INGEST)}"}
    other = {"authorization": f"Bearer {keys.create(Scope.INGEST, project='other')}"}
    async with gateway(rate_events_per_s=0.5, rate_burst_s=2) as client:
        body = make.body(make.started(), make.step())
        for headers in ({}, other):
            assert (await client.post("/v1/events", content=body, headers=headers)).status_code == 202
        for headers in ({}, second, other):
            assert (await client.post("/v1/events", content=body, headers=headers)).status_code == 429


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status"),
    [(make.body(*[make.step(seq=seq) for seq in range(1_000)]), 202), (b" " * 50_000_000, 413)],
    ids=["events", "bomb"],
)
async def test_what_a_body_inflates_to_is_charged(gateway: Gateway, body: bytes, status: int) -> None:
    """A small body that becomes a large one has cost as much as the large one; one that is refused as a bomb as well."""
    packed = gzip.compress(body)
    async with gateway(rate_bytes_per_s=float(len(packed)), rate_burst_s=2) as client:
        headers = {"content-encoding": "gzip"}
        assert (await client.post("/v1/events", content=packed, headers=headers)).status_code == status
        assert (await client.post("/v1/events", content=packed, headers=headers)).status_code == 429


@pytest.mark.anyio
async def test_values_that_are_left_out_are_charged(gateway: Gateway) -> None:
    """Each took the slow way, so that a project full of them has less room than others."""
    bad = make.body(make.step(metadata={f"k{at}": "two words" for at in range(30)}))
    async with gateway(rate_events_per_s=1, rate_burst_s=20) as client:
        assert (await client.post("/v1/events", content=bad)).status_code == 202
        assert (await client.post("/v1/events", content=bad)).status_code == 429


_DEAR = {
    "/v1/events": make.body(make.started()),
    "/v1/runs": json.dumps(MINIMAL_EXAMPLE).encode(),
    "/v1/traces": spans.as_json(spans.span()),
}


@pytest.mark.anyio
@pytest.mark.parametrize("route", _DEAR)
@pytest.mark.parametrize(("seconds", "status"), [(1.0, 429), (1e-9, 0)])
async def test_time_is_charged(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, route: str, seconds: float, status: int
) -> None:
    """A few events that take a second of the processor count as forty thousand; usual ones as what they are."""
    clock = itertools.count(step=seconds)
    monkeypatch.setattr("producer_gateway.limits.turns.thread_time", lambda: next(clock))
    async with gateway(rate_events_per_s=20_000, rate_burst_s=1) as client:
        first = await client.post(route, content=_DEAR[route])
        assert first.status_code in {200, 202}
        assert (await client.post(route, content=_DEAR[route])).status_code == (status or first.status_code)


@pytest.mark.anyio
async def test_the_time_of_refused_bodies_is_charged(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken all the same."""
    seconds = itertools.count(step=1.0)
    monkeypatch.setattr("producer_gateway.limits.turns.thread_time", lambda: next(seconds))
    async with gateway(rate_events_per_s=20_000, rate_burst_s=1) as client:
        assert (await client.post("/v1/events", content=b"{")).status_code == 400
        assert (await client.post("/v1/events", content=b"{")).status_code == 429


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bad",
    [
        [make.step(metadata={f"k{at}": "two words" for at in range(32)})] * 32,
        [make.step(name="two words")] * 1_001,
        [make.started(run_id="none")] * 1_001,
    ],
    ids=["labels", "names", "events"],
)
async def test_a_batch_of_misfits_is_refused(gateway: Gateway, records: Records, bad: list[Json]) -> None:
    """Beyond a thousand the sender is broken: 422 with a code, and nothing of the batch is taken."""
    async with gateway() as client:
        answer = await client.post("/v1/events", content=make.body(make.started(), *bad))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_many_misfits")
    assert not records()


_number = itertools.count()


def _labels() -> Json:
    """No label like any other, and none with a word in it."""
    return {f"k{at}": f"{next(_number)}:" + "x.y:1/2-3+4_" * 4 for at in range(15)}


@pytest.mark.anyio
@pytest.mark.parametrize("event", [{"later": 1}, {}], ids=["slow way", "fast way"])
async def test_a_slow_body_lets_others_pass(gateway: Gateway, event: Json) -> None:
    """While thousands of labels are looked at, a request that came later is answered, whichever way they take."""
    order: list[str] = []
    slow = make.body(*[make.step(seq=seq, metadata=_labels(), **event) for seq in range(600)])

    async with gateway() as client:

        async def post(name: str, body: bytes) -> None:
            assert (await client.post("/v1/events", content=body)).status_code == 202
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(post("slow", slow))
            tasks.create_task(post("quick", make.body(make.started())))
    assert order == ["quick", "slow"]


def test_heaviest_first() -> None:
    """Above four fifths of the budget the project that holds most has to wait; others are served until all is taken."""
    admission = Admission(max_bytes=100, max_requests=10, metrics=GatewayMetrics())
    with admission.admit("heavy") as heavy, admission.admit("light") as light:
        heavy.hold(60)
        light.hold(10)
        with pytest.raises(OverloadedError, match="project_overloaded"):
            heavy.hold(15)
        light.hold(25)
        with pytest.raises(OverloadedError, match=r"^overloaded"):
            light.hold(10)
    with admission.admit("heavy") as alone:
        alone.hold(100)


@pytest.mark.anyio
async def test_project_metrics(gateway: Gateway, metrics: GatewayMetrics) -> None:
    """Accepted events, bytes and refusals are counted by project."""
    body = make.body(make.started())
    async with gateway() as client:
        assert (await client.post("/v1/events", content=body)).status_code == 202
        assert (await client.post("/v1/events", content=b"{")).status_code == 400
    sample = metrics.registry.get_sample_value
    assert sample("agenttracer_gateway_project_events_accepted_total", {"project": "default"}) == 1
    assert sample("agenttracer_gateway_project_body_bytes_total", {"project": "default"}) == len(body) + 1
    assert sample("agenttracer_gateway_project_requests_refused_total", {"project": "default", "code": "json"}) == 1
    assert sample("agenttracer_gateway_project_ack_seconds_count", {"project": "default"}) == 1
    assert sample("agenttracer_gateway_project_in_flight_requests", {"project": "default"}) == 0


@pytest.mark.anyio
async def test_losses_of_a_project(gateway: Gateway, metrics: GatewayMetrics) -> None:
    """Refused items and dropped values are counted by project and rule, on every route, as they are for all together."""
    batch = make.body(make.started(), make.started(run_id="none"), make.step(name="two words"))
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "two words"}
    traces = spans.as_json(spans.span(said=tool), spans.span(spanId="zz"))
    async with gateway() as client:
        assert (await client.post("/v1/events", content=batch)).status_code == 202
        assert (await client.post("/v1/traces", content=traces)).status_code == 200
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    for loss, by in (("events_refused_total", "reason"), ("values_dropped_total", "rule")):
        of_all = {each.labels[by]: each.value for each in samples if each.name == f"agenttracer_gateway_{loss}"}
        of_project = {each.labels[by]: each.value for each in samples if each.name == f"agenttracer_gateway_project_{loss}"}
        assert of_project == of_all != {}


@pytest.mark.anyio
async def test_many_projects(gateway: Gateway, metrics: GatewayMetrics) -> None:
    """Projects beyond the number share one label."""
    async with gateway(projects_shown_max=0) as client:
        assert (await client.post("/v1/events", content=make.body(make.started()))).status_code == 202
    accepted = "agenttracer_gateway_project_events_accepted_total"
    assert metrics.registry.get_sample_value(accepted, {"project": "__other__"}) == 1
