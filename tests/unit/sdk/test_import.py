"""What importing the SDK loads. How long that takes is measured by `make bench-sdk`."""

import subprocess
import sys

import agenttracer

HEAVY = {"dataclasses", "inspect", "json", "http.client", "ssl", "logging", "asyncio", "urllib.parse", "signal", "gzip"}


def loaded_after(program: str) -> set[str]:
    """Heavy modules that the program has loaded. With -S: what site-packages' own hooks load is not ours."""
    paths = f"import sys; sys.path[:0] = {sys.path!r}; "
    command = [sys.executable, "-S", "-c", f"{paths}{program}; print(*({HEAVY!r} & set(sys.modules)))"]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split())


def test_the_surface_loads_nothing_heavy() -> None:
    """A program that imports the SDK and never makes a tracer pays for neither contract nor network."""
    assert loaded_after("import agenttracer; agenttracer.traced_step, agenttracer.AgentTracer") == set()


def test_the_first_tracer_loads_all_but_the_network() -> None:
    """So that the agent's threads never import in the middle of their work; HTTP and TLS load in the sender's thread."""
    found = loaded_after("from agenttracer import AgentTracer; AgentTracer(agent_id='a', agent_version='1')")
    assert found.isdisjoint({"http.client", "ssl", "logging", "asyncio", "gzip"})


def test_the_public_names_are_a_dozen() -> None:
    """Everything else is private, or in `errors`, `testing`, `wire` and `integrations`."""
    assert set(agenttracer.__all__) == {
        *("AgentTracer", "Run", "Step", "traced_step", "carry", "current_run", "current_step", "FlushResult", "Stats"),
        *("AgentTracerError", "ConfigError", "MisfitError", "UsageError", "__version__"),
    }
    assert all(hasattr(agenttracer, name) for name in agenttracer.__all__)
