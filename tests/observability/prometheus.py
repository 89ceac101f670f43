"""A real Prometheus that scrapes a pipeline's processes with the rules of `deploy/prometheus`."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.stacks import free_port, until

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"


class Prometheus:
    """A running one. It scrapes every second, so that a rate has its two samples soon."""

    def __init__(self, url: str) -> None:
        self._url = url

    def value(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        answer = httpx.get(f"{self._url}/api/v1/query", params={"query": expression}, timeout=10)
        answer.raise_for_status()
        return list(answer.json()["data"]["result"])

    def alerts(self) -> set[str]:
        """Alerts that fire, or wait until their time is over."""
        return {
            one["labels"]["alertname"] for one in httpx.get(f"{self._url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        }


def binary() -> str | None:
    """Where Prometheus is, if it is installed."""
    return shutil.which("prometheus")


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, Sequence[int]]) -> Iterator[Prometheus]:
    """Start one that scrapes these ports of this machine by job, and end it."""
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for job, ports in jobs.items()
        ],
    }
    file = folder / "prometheus.json"  # JSON is YAML
    file.write_text(json.dumps(configuration), encoding="utf-8")
    port = free_port()
    process = subprocess.Popen(
        [
            binary() or "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _is_ready(url), timeout_s=30, what="Prometheus is ready")
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
