"""A tracer, and what it would send."""

from collections.abc import Iterator

import pytest

from agenttracer import AgentTracer
from agenttracer.testing import capture_events
from tests.unit.sdk.integrations.seen import Seen


@pytest.fixture
def tracer() -> Iterator[AgentTracer]:
    made = AgentTracer(agent_id="agent", agent_version="1")
    yield made
    assert made.stats().internal_errors == 0
    made.shutdown(0)


@pytest.fixture
def seen() -> Iterator[Seen]:
    with capture_events() as captured:
        yield Seen(captured)
