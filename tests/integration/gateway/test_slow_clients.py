"""A thousand clients that keep a real gateway waiting: they are sent away, and nobody else notices."""

from pathlib import Path

import httpx

from tests.support.bad_clients import bad_clients
from tests.support.gateway_process import DEADLINE_S, GatewayProcess, create_topic, gateway_process
from tests.support.stacks import until

EVENT = {"type": "run_started", "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "seq": 0, "started_at": 1_768_469_400_000_000}
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": [EVENT]}
SLOW = HALF_OPEN = 500
EVICTED = 'agenttracer_gateway_connections_closed_total{reason="evicted"}'
MEMORY_MAX_BYTES = 64 * 1024 * 1024


def test_slow_clients(tmp_path: Path, kafka_bootstrap: str) -> None:
    """500 slow bodies and 500 half-open connections get 408 or are closed, good requests all 202, and memory stays."""
    topic = create_topic(kafka_bootstrap)
    settings = {"receive_timeout_s": 1.0, "head_timeout_s": 1.0}
    with gateway_process(tmp_path, kafka_bootstrap, topic=topic, **settings) as gateway:
        assert gateway.client.post("/v1/events", json=BATCH).status_code == 202
        before = gateway.memory_bytes()
        with bad_clients(gateway.port, slow=SLOW, half_open=HALF_OPEN) as outcomes:
            crowd = 0.9 * (SLOW + HALF_OPEN)
            until(lambda: gateway.sample("agenttracer_gateway_connections") > crowd, timeout_s=DEADLINE_S, what="a crowd")
            good = [gateway.client.post("/v1/events", json=BATCH).status_code for _ in range(200)]
            until(lambda: _sent_away(gateway, slow=SLOW, half_open=HALF_OPEN), timeout_s=DEADLINE_S, what="all were sent away")
            good += [gateway.client.post("/v1/events", json=BATCH).status_code for _ in range(200)]
        assert set(good) == {202}
        assert gateway.memory_bytes("VmHWM") - before < MEMORY_MAX_BYTES
        assert outcomes["408"] >= SLOW
        assert outcomes["disconnected"] >= HALF_OPEN / 2
        assert outcomes.keys() <= {"408", "disconnected", "reset"}
        until(lambda: gateway.sample("agenttracer_gateway_connections") == 1, timeout_s=DEADLINE_S, what="the crowd is gone")


def _sent_away(gateway: GatewayProcess, *, slow: int, half_open: int) -> bool:
    answered = gateway.sample('agenttracer_gateway_requests_refused_total{code="slow_body"}')
    closed = gateway.sample('agenttracer_gateway_connections_closed_total{reason="head_timeout"}')
    return answered >= slow and closed >= half_open


def _post(gateway: GatewayProcess) -> int | None:
    """On a new connection; None when it was taken away before its head had arrived."""
    try:
        return httpx.post(f"{gateway.client.base_url}/v1/events", json=BATCH).status_code
    except httpx.TransportError:
        return None


def test_crowded_out(tmp_path: Path, kafka_bootstrap: str) -> None:
    """With fewer connections allowed than half-open ones come without a pause, whoever tries again gets through each time."""
    topic = create_topic(kafka_bootstrap)
    with gateway_process(tmp_path, kafka_bootstrap, topic=topic, connections_max=50) as gateway:
        with bad_clients(gateway.port, slow=0, half_open=100):
            good = [until(lambda: _post(gateway), timeout_s=DEADLINE_S, what="an answer") for _ in range(20)]
        until(lambda: gateway.sample(EVICTED) > 50, timeout_s=DEADLINE_S, what="connections were spared")
        assert set(good) == {202}
