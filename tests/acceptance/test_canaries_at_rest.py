"""The gateway is a privacy firewall: canaries are sent to a whole pipeline, then every byte at rest is searched for them.

Its own local stack whatever TEST_STACK says, since the servers' files are read; logs at their most talkative. The controls
put what was sent where the filter does not stand in its way: into the topic, and into a table, and search the same files. All
channels take a thousand canaries at least, or as many as CANARIES says (`make canaries`).
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from agenttracer_cli.local.services import Service
from tests.support.firewall import malformed, native, otlp
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Findings, Scanner, files
from tests.support.firewall.sent import Sent
from tests.support.pipeline import Pipeline
from tests.support.stacks import Local

_CANARIES = int(os.environ.get("CANARIES", "1000"))
_TALK = {
    "log_min_messages": "debug1",
    "log_min_error_statement": "debug5",
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
    "log_error_verbosity": "verbose",
}
"""The opposite of what `postgres_config` ships."""


@dataclass
class Firewall:
    """What went in, what came back, and the processes that had it in their hands."""

    stack: Local
    pipeline: Pipeline
    gateway: Service
    worker: Service
    query: Service
    sing: Canaries = field(default_factory=Canaries)
    sent: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def send(self, requests: Iterator[Sent]) -> None:
        known = {"authorization": f"Bearer {self.pipeline.local_key}"}
        with httpx.Client(base_url=self.gateway.url, timeout=30, headers=known) as client:
            for each in requests:
                self.sent.append(each.everything())
                self._note(client.request(each.method, each.url, content=each.body, headers=dict(each.headers)))

    def send_malformed(self, url: str, path: str, *, key: str | None = None) -> None:
        for request in malformed.requests(self.sing, path, key=key):
            self.sent.append(request)
            self.answers.append(malformed.said_to(url, request))

    def ask(self, path: str, **headers: str) -> httpx.Response:
        self.sent.append(f"{path}\n{headers}".encode())
        return self._note(httpx.get(self.query.url + path, headers=headers, timeout=30))

    def _note(self, answer: httpx.Response) -> httpx.Response:
        assert answer.status_code < 500, answer.request.url.path
        self.answers.append(answer.content + repr(answer.headers.raw).encode())
        return answer

    # -- where it could lie -----------------------------------------------------------------------------------------------

    def said(self) -> Iterator[tuple[str, bytes]]:
        """Answers, metrics and logs of our processes."""
        yield "answers", b"\n".join(self.answers)
        for service in (self.gateway, self.worker, self.query):
            yield f"metrics of {service.name}", httpx.get(f"{service.url}/metrics", timeout=10).content
            yield f"log of {service.name}", service.log.read_bytes()

    def topic(self) -> Iterator[tuple[str, bytes]]:
        """Kafka's files: segments, indexes, metadata, its log."""
        yield from files(self.stack.kafka.folder / "data")
        yield "log of kafka", self.stack.kafka.log.read_bytes()

    def store(self) -> Iterator[tuple[str, bytes]]:
        """PostgreSQL's files with WAL, its log, and the rows as read: files may hold long values compressed its own way."""
        self.pipeline.sql("CHECKPOINT")
        yield from files(self.stack.postgres.folder / "data")
        yield "log of postgres", self.stack.postgres.log.read_bytes()
        tables = self.pipeline.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'agenttracer'")
        for table in tables:
            rows = self.pipeline.sql(f"SELECT t::text AS row FROM {table['name']} AS t")  # a name from the catalog
            yield f"rows of {table['name']}", "\n".join(row["row"] for row in rows).encode()

    def search(self, *places: Iterator[tuple[str, bytes]]) -> Findings:
        return Scanner(self.sing).scan(place for group in places for place in group)


@pytest.fixture(scope="module")
def firewall() -> Iterator[Firewall]:
    """A pipeline that has taken all canaries, stored what passes, and been asked for all of it."""
    stack = Local(Path(tempfile.mkdtemp(prefix="agenttracer-firewall-")))
    pipeline = Pipeline(stack)
    debug = {f"AGENTTRACER_{name}_LOG_LEVEL": "DEBUG" for name in ("GATEWAY", "WORKER", "QUERY")}
    # The controls make dead letters of nearly everything: the brake is for faults of ours.
    brake = {"AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE": "1", "AGENTTRACER_WORKER_DEAD_LETTER_MAX_IN_A_ROW": "1000000"}
    try:
        worker = pipeline.worker(wait=False, **debug, **brake)
        made = Firewall(stack, pipeline, pipeline.gateway(**debug), worker, pipeline.query(**debug))
        _question(made)
        for name, value in _TALK.items():
            pipeline.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        pipeline.sql("SELECT pg_reload_conf()")
        _traffic(made)
        yield made
    finally:
        pipeline.close()
        stack.stop()


def _question(made: Firewall) -> None:
    """Questions with canaries: a reader's names reach PostgreSQL as parameters, so this is before it is made to log those."""
    sing = made.sing
    for name in (
        "agent_id",
        "agent_version",
        "status",
        "failure_type",
        "failure_code",
        "since",
        "min_latency_ms",
        "cursor",
        "limit",
    ):
        made.ask(f"/v1/runs?{name}={sing.token()}")
    for path in ("/v1/stats", "/v1/runs", f"/v1/runs/{sing.token()}", f"/v1/runs/{sing.token()}/steps", f"/{sing.token()}"):
        made.ask(f"{path}?{sing.token()}={sing.token()}", **{"user-agent": sing.token(), "cookie": sing.token()})
    for header in ("authorization", "x-api-key"):
        made.ask("/v1/runs", **{header: sing.token()})
    made.send_malformed(made.query.url, "/v1/runs")


def _traffic(made: Firewall) -> None:
    while len(made.sing.planted) <= _CANARIES:
        made.send(otlp.requests(made.sing))
        made.send(native.requests(made.sing))
        for path in (otlp.URL, native.EVENTS):
            made.send_malformed(made.gateway.url, path, key=made.pipeline.local_key)
    made.pipeline.wait_covered(len(made.pipeline.topic_values()))
    for run in made.ask("/v1/runs?limit=500").json()["runs"]:
        for detail in ("", "/steps", "/failures"):
            made.ask(f"/v1/runs/{run['run_id']}{detail}")
    made.ask("/v1/stats?since=2000-01-01T00:00:00Z")


def test_no_byte_at_rest_holds_a_canary(firewall: Firewall) -> None:
    """More than a thousand planted over all channels: none in Kafka, PostgreSQL, logs, metrics or answers, in any form."""
    assert len(firewall.sing.planted) > _CANARIES
    found = firewall.search(firewall.said(), firewall.topic(), firewall.store())
    assert found.places == {}
    assert found.searched_bytes > 20_000_000
    assert len(firewall.pipeline.sql("SELECT FROM runs")) > 20, "what was planted in was stored"
    for service in (firewall.gateway, firewall.worker):
        assert b'"level":"debug"' in service.log.read_bytes(), service.name
    assert b"parameters:" in firewall.stack.postgres.log.read_bytes().lower(), "PostgreSQL logs what it is given"


def test_content_in_the_topic_is_found_there_and_goes_no_further(firewall: Firewall) -> None:
    """The control of the topic: with the gateway passed by, 99 % are found in Kafka's files; the worker stores none of them."""
    before = len(firewall.pipeline.topic_values())
    firewall.pipeline.produce_raw((b"", sent) for sent in firewall.sent)
    firewall.pipeline.wait_covered(before + len(firewall.sent))
    assert firewall.search(firewall.topic()).share_of(firewall.sing) >= 0.99
    assert firewall.search(firewall.said(), firewall.store()).places == {}


def test_content_in_the_store_is_found_there(firewall: Firewall) -> None:
    """The control of the store: of what a table holds 99 % are found in its files, in WAL, and in PostgreSQL's log."""
    whole = b"\n".join(firewall.sent)
    firewall.pipeline.sql("CREATE TABLE control (body bytea)")
    # In pieces that Postgres stores as they are, each with the end of the one before: none cuts every canary's copy in two.
    pieces = [(whole[at : at + 1_500],) for at in range(0, len(whole), 1_300)]
    firewall.pipeline.with_store(lambda owner: owner.executemany("INSERT INTO control VALUES ($1)", pieces))
    places = list(firewall.store())
    for place in ("base/", "pg_wal/", "log of postgres", "rows of control"):
        found = Scanner(firewall.sing).scan(each for each in places if each[0].startswith(place))
        assert found.share_of(firewall.sing) >= 0.99, place
