"""A pytest fixture for the tests of agents: put `pytest_plugins = ["agenttracer.pytest_plugin"]` into conftest.py.

It is no entry point, so that the tests of programs that merely have the SDK installed do not load it.
"""

from collections.abc import Iterator

import pytest

from agenttracer.testing import capture_events
from agenttracer.wire.events import Event


@pytest.fixture
def agent_events() -> Iterator[list[Event]]:
    """The events of all tracers during the test, none of which is sent."""
    with capture_events() as events:
        yield events
