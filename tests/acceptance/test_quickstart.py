"""docs/quickstart.md works as printed: a LangGraph agent, instrumented by OpenTelemetry and by nothing of ours."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.support.pipeline import Pipeline, get_json
from tests.support.stacks import until

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")


def printed(name: str) -> str:
    """The block under the marker of this name."""
    (block,) = re.findall(rf"<!-- snippet: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


def of_this_stack(text: str, *, gateway_port: int, query_port: int) -> str:
    """The same with the ports that were free here."""
    return text.replace("8000", str(gateway_port)).replace("8001", str(query_port))


def test_a_langgraph_agent_by_opentelemetry_is_visible_under_its_name_and_version(pipeline: Pipeline, tmp_path: Path) -> None:
    """The printed variables and the printed program are enough, and the printed question finds the run."""
    pipeline.worker()
    ports = {"gateway_port": pipeline.gateway().port, "query_port": pipeline.query().port}
    (tmp_path / "agent.py").write_text(printed("otel-agent"))
    script = of_this_stack(printed("otel-environment"), **ports) + f"exec {shlex.quote(sys.executable)} agent.py\n"
    (tmp_path / ".config").symlink_to(os.environ["XDG_CONFIG_HOME"])  # the tests' own, so that no stack of the user's is touched
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTTRACER_", "OTEL_"))}
    environment = {**clean, "HOME": str(tmp_path)}
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    url = of_this_stack(shlex.split(printed("otel-look"))[-1], **ports)
    assert "agent_id=refund-agent&agent_version=1.4.0" in url
    until(
        lambda: any(run["status"] == "success" for run in get_json(url)["runs"]),
        timeout_s=60,
        what="the run of the printed agent is visible",
        every_s=0.2,
    )
    (run,) = get_json(url)["runs"]
    assert (run["agent_id"], run["agent_version"], run["completeness"]["state"]) == ("refund-agent", "1.4.0", "unknown")
    steps = get_json(f"{url.partition('?')[0]}/{run['run_id']}/steps")["steps"]
    assert [step["kind"] for step in steps] == ["other", "respond"]


def test_the_packages_that_the_page_installs_are_those_that_it_was_tried_with() -> None:
    """Each is here, pinned among the development packages."""
    pip, install, *packages = shlex.split(printed("otel-install"))
    assert (pip, install) == ("pip", "install")
    assert all(version(package) for package in packages)
