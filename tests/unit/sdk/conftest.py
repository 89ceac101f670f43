"""Tracers that end with their test, the gateway they speak to, an environment without settings or exporters of frameworks."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agenttracer import AgentTracer, _warn
from agenttracer._export import delivery
from agenttracer.testing import capture_events
from agenttracer.wire.events import Event
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, WaitUntil

# Before a framework is imported: neither may send anything anywhere.
os.environ["LANGSMITH_TRACING"] = "false"
os.environ.setdefault("OPENAI_API_KEY", "none")


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    yield fake
    fake.close()


@pytest.fixture
def new_tracer(gateway: FakeGateway) -> Iterator[NewTracer]:
    made: list[AgentTracer] = []

    def make(**settings: Any) -> AgentTracer:
        given = {"agent_id": "agent", "agent_version": "1.0", "api_url": gateway.url, "flush_interval_s": 0.02, **settings}
        tracer = AgentTracer(**given)
        made.append(tracer)
        return tracer

    yield make
    for tracer in made:
        tracer.shutdown(0)


@pytest.fixture
def wait_until() -> WaitUntil:
    """Poll a condition; the deadline is for a machine that is very busy."""

    def wait(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.005)

    return wait


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(delivery, "BACKOFF_MAX_S", 0.05)


@pytest.fixture(autouse=True)
def _own_settings_and_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see neither the developer's variables nor the warnings that an earlier test used up."""
    for name in list(os.environ):
        if name.startswith("AGENTTRACER_"):
            monkeypatch.delenv(name)
    _warn.reset()


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with capture_events() as captured:
        yield captured


@pytest.fixture
def tracer() -> Iterator[AgentTracer]:
    made = AgentTracer(agent_id="agent", agent_version="1")
    yield made
    made.shutdown(0)
