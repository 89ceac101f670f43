"""A closed project through real processes: what is no allowed name leaves nothing to read, in topic, store, answers or logs."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from agenttracer import AgentTracer
from agenttracer.rules.names.fit import fit
from agenttracer.rules.names.pseudonyms import Pseudonyms, project_key
from agenttracer_cli.app import app as command
from agenttracer_cli.local.local_key import name_key_text
from tests.support.pipeline import Pipeline, get_json
from tests.support.stacks import until

_FOLLOWS_WITHIN_S = 60
PROMPT = " ".join(
    f"{person} {did} {what} {where} {when}"
    for person in ("grandmother", "neighbour", "fisherman", "orphan")
    for did, what in (("forgave", "burglary"), ("lamented", "pregnancy"), ("whispered", "heartache"))
    for where, when in (("beside orchard", "yesterday"), ("underneath chapel", "midsummer"), ("behind bakery", "thursday"))
)
WORDS = sorted(set(PROMPT.split()))
EVENTS = 1_000
Names = Callable[..., Result]


@pytest.fixture
def names(pipeline: Pipeline) -> Names:
    """`agenttracer names …` as an operator types it, on the pipeline's store and with its key."""
    name_key_text(pipeline.state_dir)
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    where = ["--state-dir", str(pipeline.state_dir), "--project", "default"]

    def run(what: str, *arguments: str) -> Result:
        found = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn}).invoke(command, ["names", what, *where, *arguments])
        assert found.exit_code == 0, found.output
        return found

    return run


def _pseudonyms(pipeline: Pipeline) -> Pseudonyms:
    return Pseudonyms(project_key(name_key_text(pipeline.state_dir), "default").encode())


def _pieces() -> Iterator[str]:
    """The prompt again and again, in pieces of the form of names: words, and parts that do not end with them."""
    text = PROMPT.replace(" ", "-")
    for number in range(EVENTS):
        begin, size = (number * 7) % (len(text) - 60), 6 + number % 54
        piece = text[begin : begin + size].strip("-")
        yield WORDS[number % len(WORDS)] if number % 3 == 0 else piece


def _batch(events: list[dict[str, Any]]) -> dict[str, Any]:
    producer = {"id": "grandmother-fisherman", "agent": "orphan-burglary", "agent_version": "midsummer", "sdk": "whispered"}
    return {"v": "1.1", "producer": producer, "events": events}


def _event(number: int, piece: str) -> dict[str, Any]:
    key = piece.replace("-", "_")
    step = {
        "type": "step_finished",
        "run_id": str(uuid.UUID(int=0x7000_8000_0000_0000_0000 + number % 10)),
        "seq": number,
        "step_id": f"{number + 1:016x}",
        "kind": "tool",
        "name": piece,
        "started_at": 1_768_469_400_000_000 + number,
        "duration_us": 5,
        "status": "error",
    }
    evidence = {"error_class": piece, "error_code": piece}
    returned = {"code": key, "error_class": piece}
    metadata = {"model": piece, "channel": piece, key: piece, "n": number}
    return {**step, "evidence": evidence, "returned_error": returned, "agent": {"name": piece}, "metadata": metadata}


def _failure(number: int, piece: str) -> dict[str, Any]:
    run_id = str(uuid.UUID(int=0x7000_8000_0000_0000_0000 + number % 10))
    failure = {"type": "failure_recorded", "run_id": run_id, "seq": EVENTS + number, "failure_id": f"{number + 1:016x}"}
    return {**failure, "occurred_at": 1_768_469_400_000_000, "failure_type": "tool", "failure_code": piece.replace("-", "_")}


def _places(pipeline: Pipeline, query_url: str) -> dict[str, bytes]:
    """Everything that is kept or answered, in lower case."""
    tables = pipeline.sql("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'agenttracer'")
    rows = [row["row"] for table in tables for row in pipeline.sql(f"SELECT t::text AS row FROM {table['name']} AS t")]
    runs = get_json(f"{query_url}/v1/runs", limit=100)["runs"]
    answers = [get_json(f"{query_url}/v1/stats", since="2000-01-01T00:00:00Z"), runs]
    for run in runs:
        answers += [get_json(f"{query_url}/v1/runs/{run['run_id']}{detail}", **more) for detail, more in _DETAILS]
    said = {"topic": b"".join(pipeline.topic_values()), "rows": "\n".join(rows).encode(), "answers": repr(answers).encode()}
    said |= {f"log of {service.name}": service.log.read_bytes() for service in pipeline.processes}
    return {place: text.lower() for place, text in said.items()}


_DETAILS: list[tuple[str, dict[str, int]]] = [("", {}), ("/steps", {"limit": 2_000}), ("/failures", {"limit": 2_000})]


def _readable(places: dict[str, bytes]) -> list[tuple[str, str]]:
    """Where five letters of a word of the prompt can be read."""
    parts = {word[begin : begin + 5] for word in WORDS for begin in range(len(word) - 4)} - _OURS
    return [(place, part) for place, text in places.items() for part in parts if part.encode() in text]


_OURS = {"other", "under"}
"""Parts of our own words, in members and lines of logs."""


def _send(gateway_url: str, key: str, events: list[dict[str, Any]]) -> dict[str, int]:
    answer = httpx.post(f"{gateway_url}/v1/events", json=_batch(events), headers={"x-api-key": key}, timeout=30)
    assert answer.status_code == 202, answer.text
    dropped: dict[str, int] = answer.json()["dropped"]
    return dropped


def _tried(gateway_url: str, key: str) -> dict[str, int]:
    """What is lost of a run that has one name, which is no word of ours."""
    document = {"agent_id": "probe", "agent_version": "unknown", "status": "success", "steps": []}
    answer = httpx.post(f"{gateway_url}/v1/runs", json=document, headers={"x-api-key": key}, timeout=30)
    assert answer.status_code == 202, answer.text
    dropped: dict[str, int] = answer.json()["dropped"]
    return dropped


def test_a_prompt_cut_into_a_thousand_events_cannot_be_read(pipeline: Pipeline, names: Names) -> None:
    """1,500 bytes in every member that takes a name: nothing is at rest or answered. In an open project it is."""
    assert len(PROMPT) >= 1_500
    worker = pipeline.worker(wait=False)
    gateway, query = pipeline.gateway(), pipeline.query()
    names("close")
    until(lambda: _tried(gateway.url, pipeline.local_key), timeout_s=_FOLLOWS_WITHIN_S, what="the project is closed", every_s=0.2)
    pieces = list(_pieces())
    for begin in range(0, EVENTS, 250):
        part = list(enumerate(pieces))[begin : begin + 250]
        lost = _send(gateway.url, pipeline.local_key, [_event(*each) for each in part] + [_failure(*each) for each in part])
        assert lost["not_allowed"] > 2_000
    pipeline.wait_covered(len(pipeline.topic_values()))
    assert _readable(_places(pipeline, query.url)) == []
    assert pipeline.sql("SELECT count(*) AS n FROM steps")[0]["n"] == EVENTS
    ours = _pseudonyms(pipeline)
    stored = {row["name"] for row in pipeline.sql("SELECT DISTINCT name FROM steps")}
    wanted = {ours.of(piece) if fit(piece).name == piece else "__redacted__" for piece in pieces}
    assert stored == wanted, "names can still be told apart"
    worker.wait_ready()
    pipeline.assert_store_is_fold()

    names("open")
    until(lambda: not _tried(gateway.url, pipeline.local_key), timeout_s=_FOLLOWS_WITHIN_S, what="it is open", every_s=0.2)
    _send(gateway.url, pipeline.local_key, [_event(EVENTS + number, piece) for number, piece in enumerate(pieces[:250])])
    pipeline.wait_covered(len(pipeline.topic_values()))
    found = _readable(_places(pipeline, query.url))
    assert {place for place, _ in found} >= {"topic", "rows", "answers"}


def test_allowed_names_pass_and_go_with_the_project(pipeline: Pipeline, names: Names) -> None:
    """An SDK with the key sends what a gateway would make; answers show names, past ones too. A deleted project has none."""
    pipeline.worker(wait=False)
    gateway, query = pipeline.gateway(), pipeline.query()
    names("allow", "lookup", "查询订单")
    names("close")
    key = names("key").stdout.strip()
    until(lambda: _tried(gateway.url, pipeline.local_key), timeout_s=_FOLLOWS_WITHIN_S, what="the project is closed", every_s=0.2)
    tracer = AgentTracer(
        agent_id="lookup", agent_version="unknown", api_url=gateway.url, api_key=pipeline.local_key, name_key=key
    )
    with tracer.start_run() as run:
        for name in ("lookup", "查询订单", "订单", "hidden"):
            with run.step("tool", name):
                pass
    assert tracer.flush().complete
    tracer.shutdown()
    ours = _pseudonyms(pipeline)
    stored = b"".join(pipeline.topic_values())
    for name in ("lookup", ours.of("查询订单"), ours.of(ours.of("订单")), ours.of("hidden")):
        assert f'"name":"{name}"'.encode() in stored

    def shown() -> list[str]:
        answer = httpx.get(f"{query.url}/v1/runs/{run.run_id}/steps", timeout=10)
        return [step["name"] for step in answer.json()["steps"]] if answer.status_code == 200 else []

    wanted = ["lookup", "查询订单", ours.of(ours.of("订单")), ours.of("hidden")]
    until(lambda: shown() == wanted, timeout_s=60, what="names are shown", every_s=0.2)
    names("allow", "订单", "hidden")
    wanted = ["lookup", "查询订单", "订单", "hidden"]
    until(lambda: shown() == wanted, timeout_s=60, what="names of what is stored are shown", every_s=0.2)
    found = get_json(f"{query.url}/v1/runs", step_name="查询订单", since="2026-01-01T00:00:00Z")["runs"]
    assert [each["run_id"] for each in found] == [run.run_id]
    assert "查询订单" in names("list").stdout
    assert names("list", "--json").stdout.count('"lookup"') == 2

    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    where = ["--state-dir", str(pipeline.state_dir)]
    done = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn}).invoke(command, ["delete", "project", "default", "--yes", *where])
    assert done.exit_code == 0, done.output
    assert pipeline.sql("SELECT FROM allowed_names") == []
    assert [row["closed"] for row in pipeline.sql("SELECT closed FROM name_modes")] == [True]
