"""The examples as the demo runs them."""

from pathlib import Path

import pytest

from agenttracer_cli.demo.errors import ExamplesError
from agenttracer_cli.demo.examples import NAMES, ExampleRunner, load
from agenttracer_cli.installation import example_agents
from tests.support.stacks import until

EXAMPLE = """
from dataclasses import dataclass
from agenttracer import AgentTracer

@dataclass(frozen=True, slots=True)
class Report:
    events: int
    failure_codes: frozenset[str]

async def main(api_url=None):
    tracer = AgentTracer(agent_id="example", agent_version="1", api_url=api_url, connect_timeout_s=0.1)
    with tracer.start_run() as run, run.step("tool", "search"):
        pass
    tracer.shutdown(0)
    {then}
    return Report(events={events}, failure_codes=frozenset({{"timeout"}}))
"""


def sending(folder: Path, *, events: int = 3, then: str = "pass") -> ExampleRunner:
    """An example at its end, that sent to where nobody listens."""
    (folder / "example.py").write_text(EXAMPLE.format(events=events, then=then))
    started = ExampleRunner("http://127.0.0.1:9", folder=folder, names=["example"])
    started.start()
    until(lambda: not started.running, timeout_s=30, what="the example is done")
    return started


def test_runs_and_events_are_counted_by_the_examples_own_tracers(tmp_path: Path) -> None:
    """Without the example knowing of it."""
    done = sending(tmp_path)
    sent = done.tracers.sent()
    assert (len(sent.run_ids), sent.emitted, sent.accepted, sent.dropped) == (1, 3, 0, 3)
    assert (done.expected, done.problems) == ({"timeout"}, [])


def test_an_example_that_counts_otherwise_is_told(tmp_path: Path) -> None:
    """A tracer that the demo does not see must not pass unnoticed."""
    assert sending(tmp_path, events=4).problems == ["example example.py says 4 events, its tracers say 3"]


def test_an_example_that_fails_is_told_by_the_class_of_its_error(tmp_path: Path) -> None:
    """What it sent until then counts."""
    done = sending(tmp_path, then="raise LookupError('canary')")
    assert done.problems == ["example example.py ended with LookupError"]
    assert done.tracers.sent().emitted == 3


def test_a_missing_example_is_an_error_of_the_installation(tmp_path: Path) -> None:
    """A checkout and a wheel both have the examples."""
    with pytest.raises(ExamplesError, match="missing from this installation"):
        load(tmp_path / "fleet.py")


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_the_demo_is_there(name: str) -> None:
    """And can be imported without starting anything."""
    assert callable(load(example_agents() / f"{name}.py").main)
