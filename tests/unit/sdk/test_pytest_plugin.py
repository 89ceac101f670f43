"""The fixture for agents' tests, in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

CONFTEST = 'pytest_plugins = ["agenttracer.pytest_plugin"]\n'
TEST = """
from agenttracer import AgentTracer

tracer = AgentTracer(agent_id="a", agent_version="1", api_url="http://127.0.0.1:9")

def test_one(agent_events):
    with tracer.start_run():
        pass
    assert [event.type for event in agent_events] == ["run_started", "run_finished"]

def test_two(agent_events):
    assert agent_events == []
    assert tracer.stats().emitted == 0
"""


def test_the_fixture_captures_the_events_of_one_test(tmp_path: Path) -> None:
    """Each test sees its own events, and none is sent."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_agent.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
