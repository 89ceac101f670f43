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


AGENT = """
from agenttracer import AgentTracer
from agenttracer._export.sender import Sender
held, Sender.run = Sender.run, lambda self: None
tracer = AgentTracer(agent_id="Triage Agent", agent_version="1", exit_timeout_s=0)
with tracer.start_run(metadata={"region": "eu", "note": "free text", "n": 1}) as run:
    run.set_status("partial")
    run.record_failure(failure_type="tool", failure_code="Rate-Limit")
    for name in ("lookup", "two words", None):
        with run.step("tool", name) as step:
            step.add_metadata({"model": "gpt-4o", "note": "free text", "order": 4111111111111111})
            step.returned_error(code="not_found", error_class="KeyError")
loaded = lambda: sorted(name for name in sys.modules if name.startswith(("agenttracer.rules.names", "agenttracer.rules.error")))
"""


def test_the_agents_thread_loads_no_rules_of_names() -> None:
    """Names, codes, labels and misfits of all kinds wait for the sender's thread to judge them."""
    assert loaded_rules("assert tracer.stats().pending == 6; print(*loaded())") == set()


def test_the_senders_thread_loads_the_rules_at_its_start() -> None:
    """Also those of errors, so that the first exception finds them: no event, and no gateway, is needed for it."""
    stop = "Sender._send_waiting = lambda self: self._waiter.stop_by(0)"
    found = loaded_rules(f"{stop}; held(tracer._pipeline._exporter._sender); print(*loaded())")
    assert {"agenttracer.rules.names.fit", "agenttracer.rules.error_reader", "agenttracer.rules.errors.patterns"} <= found


def loaded_rules(last: str) -> set[str]:
    """What the program prints, after an agent has run whose sender does nothing."""
    program = f"import sys; sys.path[:0] = {sys.path!r}\n{AGENT}\n{last}"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_a_dozen() -> None:
    """Everything else is private, or in `errors`, `testing`, `wire` and `integrations`."""
    assert set(agenttracer.__all__) == {
        *("AgentTracer", "Run", "Step", "traced_step", "carry", "current_run", "current_step", "FlushResult", "Stats"),
        *("AgentTracerError", "ConfigError", "MisfitError", "UsageError", "__version__"),
    }
    assert all(hasattr(agenttracer, name) for name in agenttracer.__all__)
