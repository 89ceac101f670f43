"""What the README says works as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.pipeline import Pipeline, get_json
from tests.support.stacks import until

README = Path(__file__).parents[2] / "README.md"
_SNIPPET = re.compile(r"<!-- snippet: quickstart -->\n```python\n(.*?)```", re.DOTALL)
_USUAL_GATEWAY = "http://127.0.0.1:8000"


def test_the_quickstart_snippet_runs_as_printed(pipeline: Pipeline, tmp_path: Path) -> None:
    """In a process of its own, with no setting while the usual port is free; then its run is in the query API."""
    pipeline.worker()
    gateway, query = pipeline.gateway(), pipeline.query()
    (snippet,) = _SNIPPET.findall(README.read_text())
    program = tmp_path / "quickstart.py"
    program.write_text(snippet)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    setting = {} if gateway.url == _USUAL_GATEWAY else {"AGENTTRACER_API_URL": gateway.url}
    ran = subprocess.run(
        [sys.executable, program.name], cwd=tmp_path, env={**clean, **setting}, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    run_id = ran.stdout.strip().rpartition("/")[2]

    def visible() -> bool:
        runs = get_json(f"{query.url}/v1/runs")["runs"]
        return any(run["run_id"] == run_id and run["status"] == "failure" for run in runs)

    until(visible, timeout_s=60, what="the run of the snippet is visible", every_s=0.2)
    steps = get_json(f"{query.url}/v1/runs/{run_id}/steps")["steps"]
    assert [step["name"] for step in steps] == ["understand_ticket", "search_kb", "issue_refund"]
    (failure,) = get_json(f"{query.url}/v1/runs/{run_id}/failures")["failures"]
    assert (failure["failure_type"], failure["failure_code"], failure["step_id"]) == ("tool", "timeout", steps[2]["step_id"])
    assert len(snippet.splitlines()) <= 12
