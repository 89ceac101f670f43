"""A fixture for the tests of agents: `pytest_plugins = ["agenttracer.pytest_plugin"]` in conftest.py makes it known.

Named there and not by an entry point, so that the tests of programs which merely have the SDK installed do not load it.
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
