"""The real stack with the demo's week in it, and a browser."""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import RunFinished, RunStarted
from agenttracer.wire.vocabulary import RunEnd
from agenttracer_cli.demo.week import RUNS, send_week
from agenttracer_cli.local.local_key import local_key_file
from agenttracer_cli.local.services import Service
from tests.support.browser import launch
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, until

expect.set_options(timeout=20_000)
SESSION = "5e55100000000000000000000000abcd"
PRODUCER = Producer(id="p", agent="chat-agent", agent_version="1")


@pytest.fixture
def browser(site: "Site") -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@dataclass
class Site:
    """A query service that shows the week to this machine, and the gateway in front of it."""

    pipeline: Pipeline
    gateway: Service
    query: Service

    @property
    def url(self) -> str:
        return self.query.url

    def get(self, path: str) -> dict[str, object]:
        answer = httpx.get(self.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def runs(self, query: str) -> list[dict[str, object]]:
        found = self.get(f"/v1/runs?{query}")["runs"]
        assert isinstance(found, list)
        return found

    def send(self, *documents: Mapping[str, object]) -> list[str]:
        """Post runs, wait until they can be seen, and give their ids."""
        key = self.pipeline.local_key
        sent = []
        for document in documents:
            answer = httpx.post(f"{self.gateway.url}/v1/runs", json=document, headers={"x-api-key": key}, timeout=30)
            assert answer.status_code == 202, answer.text
            sent.append(answer.json()["run_id"])
        for run_id in sent:
            self.await_run(run_id)
        return sent

    def await_run(self, run_id: str) -> None:
        """Wait until it can be seen."""
        until(lambda: httpx.get(f"{self.url}/v1/runs/{run_id}").status_code == 200, timeout_s=60, what="the run is seen")

    def await_steps(self, run_id: str, steps: int) -> None:
        """Wait until so many of its steps are stored."""
        until(lambda: self.get(f"/v1/runs/{run_id}")["step_count"] == steps, timeout_s=120, what="its steps are stored")


@pytest.fixture(scope="session")
def site(stack: Stack) -> Iterator[Site]:
    pipeline = Pipeline(stack)
    gateway = pipeline.gateway()
    pipeline.worker()
    running = Site(pipeline, gateway, pipeline.query(gateway=gateway))
    send_week(gateway.url, key_file=local_key_file(gateway.port), report=lambda _: None)
    until(lambda: _stored(running) == RUNS, timeout_s=240, what="the week is stored")
    send_session(running)
    yield running
    pipeline.close()


def send_session(site: Site) -> None:
    """Two runs of one conversation, of which one lost an event: the week has neither sessions nor losses."""
    now = int(time.time() * 1_000_000)
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for at, run_id in enumerate(ids):
        began = now - (len(ids) - at) * 1_000_000
        events = (
            RunStarted(run_id=run_id, seq=0, started_at=began, session_digest=SESSION),
            RunFinished(run_id=run_id, seq=1, ended_at=began + 500_000, status=RunEnd.SUCCESS, emitted=2 + at),
        )
        site.pipeline.produce([Record(v=VERSION, project="default", producer=PRODUCER, received_at=now, events=events)])
    for run_id in ids:
        site.await_run(run_id)


def _stored(site: Site) -> int:
    return int(site.pipeline.sql("SELECT count(*) AS n FROM runs")[0]["n"])
