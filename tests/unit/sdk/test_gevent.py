"""Under gevent: everything the SDK uses is patched, and serves."""

import subprocess
import sys
import textwrap

from tests.unit.sdk.fake_gateway import FakeGateway

PROGRAM = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from agenttracer import AgentTracer, current_step

    tracer = AgentTracer(agent_id="agent", agent_version="1")

    def agent(number):
        with tracer.start_run() as run:
            for _ in range(3):
                with run.step("tool", f"lookup-{number}") as step:
                    gevent.sleep(0.001)
                    assert current_step() is step  # each greenlet has a context of its own

    greenlets = [gevent.spawn(agent, number) for number in range(50)]
    gevent.joinall(greenlets, raise_error=True)
    assert tracer.flush(30).complete
    with tracer.start_run():
        pass  # left to the end of the process
"""


def test_greenlets_are_traced_like_threads(gateway: FakeGateway) -> None:
    """50 at once: each run has its own steps, a flush waits without stopping the others, and the exit sends the rest."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(
        command, env={"AGENTTRACER_API_URL": gateway.url}, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(gateway.of_kind("run_finished")) == 51
    names: dict[str, set[str]] = {}
    for step in gateway.of_kind("step_finished"):
        names.setdefault(step["run_id"], set()).add(step["name"])
        assert "parent_step_id" not in step
    assert sorted(map(len, names.values())) == [1] * 50
    assert {event["emitted"] for event in gateway.of_kind("run_finished")} == {5, 2}
