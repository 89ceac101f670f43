"""The memory of a real gateway under bodies made to fill it: bounded by the in-flight budget and 64 MiB."""

import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backports import zstd

from tests.support import hostile
from tests.support.gateway_process import GatewayProcess, create_topic, gateway_process
from tests.unit.gateway.otlp import spans as make

MIB = 1024 * 1024
BUDGET_BYTES = 64 * MIB
ALLOWANCE_BYTES = 64 * MIB
AT_ONCE = 4
Make = Callable[[int], bytes]
ROUTES: dict[str, tuple[str, str, dict[str, Make]]] = {
    "protobuf": ("/v1/traces", "application/x-protobuf", hostile.PROTOBUF),
    "OTLP JSON": ("/v1/traces", "application/json", hostile.OTLP_JSON),
    "events": ("/v1/events", "application/json", hostile.EVENTS),
    "runs": ("/v1/runs", "application/json", hostile.RUNS),
}


@pytest.fixture
def gateway(tmp_path: Path, kafka_bootstrap: str) -> Iterator[GatewayProcess]:
    topic = create_topic(kafka_bootstrap)
    settings = {"in_flight_max_bytes": BUDGET_BYTES, "inflate_max_ratio": 100_000, "otlp_inflate_max_ratio": 100_000}
    # However slow the machine: what is refused for lateness would take no memory.
    settings |= {"request_deadline_s": 25, "receive_timeout_s": 20, "drain_timeout_s": 30, "replace_after_s": 50}
    settings |= {"otlp_request_deadline_s": 25, "otlp_receive_timeout_s": 20, "rate_events_per_s": 0, "rate_bytes_per_s": 0}
    with gateway_process(tmp_path, kafka_bootstrap, topic=topic, **settings) as gateway:
        yield gateway


def status(gateway: GatewayProcess, route: str, content_type: str, body: bytes) -> int:
    return gateway.client.post(route, content=body, headers={"content-type": content_type}).status_code


def post(gateway: GatewayProcess, route: str, content_type: str, body: bytes) -> int:
    headers = {"content-type": content_type, "content-encoding": "zstd"}
    return gateway.client.post(route, content=zstd.compress(body, 1), headers=headers).status_code


@pytest.mark.parametrize("route", ROUTES)
def test_hostile_bodies(gateway: GatewayProcess, route: str) -> None:
    """Dense bodies as large as allowed and just too small to be counted, several at a time, take no more than that."""
    path, content_type, makers = ROUTES[route]
    idle = gateway.memory_bytes()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for make, size in itertools.product(makers.values(), (8 * MIB - 10_000, MIB - 10_000, 60_000)):
            body = make(size)
            answers = list(pool.map(lambda _, body=body: post(gateway, path, content_type, body), range(AT_ONCE)))
            assert set(answers) <= {200, 202, 400, 413, 422, 503}
    assert gateway.memory_bytes("VmHWM") - idle < BUDGET_BYTES + ALLOWANCE_BYTES


@pytest.mark.parametrize("route", ["protobuf", "OTLP JSON"])
def test_good_spans(gateway: GatewayProcess, route: str) -> None:
    """Neither do spans: as many as allowed in one request, and as many bytes as allowed, not compressed."""
    path, content_type, _ = ROUTES[route]
    encode = make.protobuf if route == "protobuf" else (lambda body: json.dumps(body).encode())
    many = [make.span(f"{at:016x}", make.ROOT, said={"gen_ai.request.model": f"model-{at}"}) for at in range(1, 10_001)]
    long = [make.span(f"{at:016x}", make.ROOT, said={"gen_ai.prompt": "free text " * 1_500}) for at in range(1, 513)]
    idle = gateway.memory_bytes()
    for body in (encode(make.request(*many)), encode(make.request(*long))):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda _, body=body: status(gateway, path, content_type, body), range(2 * AT_ONCE)))
        assert set(answers) <= {200, 503}
        assert 200 in answers
    assert gateway.memory_bytes("VmHWM") - idle < BUDGET_BYTES + ALLOWANCE_BYTES


def test_good_bodies(gateway: GatewayProcess) -> None:
    """Batches as large as the contract allows, several at a time, take no more either, and are accepted or told to come again."""
    idle = gateway.memory_bytes()
    event = b'{"type":"run_started","run_id":"%s","seq":%d,"started_at":1768469400000000,"metadata":{%s}}'
    metadata = b",".join(b'"key_%d":"label-%d"' % (at, at) for at in range(16))
    events = b",".join(event % (hostile.RUN.encode(), seq, metadata) for seq in range(5_000))
    body = b'{"v":"1.0","producer":{"id":"p","agent":"a","agent_version":"1"},"events":[%s]}' % events
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: post(gateway, "/v1/events", "application/json", body), range(4 * AT_ONCE)))
    assert set(answers) <= {202, 503}
    assert 202 in answers
    assert gateway.memory_bytes("VmHWM") - idle < BUDGET_BYTES + ALLOWANCE_BYTES
