"""What the developer reads when the gateway is away: the address and the cause once, once more when that costs events."""

import logging
import re
import socket

import pytest

from agenttracer._check import check
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, WaitUntil
from tests.unit.sdk.test_process_lifecycle import dead_url, python


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "agenttracer"]


def test_a_gateway_that_is_away_is_said_once(
    new_tracer: NewTracer, caplog: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    """With its address and the cause, though the SDK tries again and again."""
    url = dead_url()
    tracer = new_tracer(api_url=f"{url}/prefix")
    with caplog.at_level(logging.WARNING, "agenttracer"), tracer.start_run():
        wait_until(lambda: warnings(caplog))
    tracer.flush(0.3)
    (said,) = warnings(caplog)
    assert url in said
    assert "connection refused" in said


@pytest.mark.parametrize(
    "away", [(Reply(status=503), "it answers 503"), (Reply(hang=True), "in time"), (Reply(cut=True), "HTTP")]
)
def test_every_cause_has_its_words(
    new_tracer: NewTracer,
    gateway: FakeGateway,
    caplog: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
    away: tuple[Reply, str],
) -> None:
    """They are the SDK's own: what a server answers is not repeated."""
    gateway.always, cause = away
    tracer = new_tracer(request_timeout_s=0.2)
    with caplog.at_level(logging.WARNING, "agenttracer"):
        tracer.start_run().end()
        wait_until(lambda: any(gateway.url in said and cause in said for said in warnings(caplog)))


def test_the_queues_overflow_is_said_once_more(
    new_tracer: NewTracer, caplog: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    """As soon as events are lost by it, and not before."""
    tracer = new_tracer(api_url=dead_url(), queue_max_events=10)
    with caplog.at_level(logging.WARNING, "agenttracer"), tracer.start_run() as run:
        wait_until(lambda: len(warnings(caplog)) == 1)
        for _ in range(30):
            with run.step("tool", "lookup"):
                pass
        wait_until(lambda: len(warnings(caplog)) == 2)
    assert "the queue is full" in warnings(caplog)[1]


def test_the_end_of_the_process_counts_every_drop() -> None:
    """Those that were left, and those that were dropped while it ran, by reason."""
    done = python(
        """
        import logging
        from agenttracer import AgentTracer
        logging.getLogger("agenttracer").disabled = True
        tracer = AgentTracer(agent_id="a", agent_version="1", queue_max_events=10, exit_timeout_s=0.1)
        with tracer.start_run() as run:
            for _ in range(30):
                with run.step("tool", "lookup"):
                    pass
        """,
        AGENTTRACER_API_URL=dead_url(),
    )
    left, dropped, by_reason = map(int, re.findall(r"\d+", done.stderr))
    assert done.stderr == (
        f"agenttracer: {left} events of a could not be sent before the end and are lost; "
        f"{dropped} events of a were dropped before (queue_full {by_reason})\n"
    )
    assert left + dropped == 32
    assert dropped == by_reason > 0


def test_warnings_name_the_words_that_are_allowed(new_tracer: NewTracer, caplog: pytest.LogCaptureFixture) -> None:
    """Each vocabulary once."""
    tracer = new_tracer()
    with caplog.at_level(logging.WARNING, "agenttracer"), tracer.start_run() as run:
        for _ in range(2):
            with run.step("Tool", "lookup"):  # type: ignore[arg-type, unused-ignore]  # a likely mistake
                pass
            run.record_failure(failure_type="network", failure_code="timeout")
            run.set_status("ok")
    kinds, types, statuses = warnings(caplog)
    assert "plan, retrieve, tool, respond, other" in kinds
    assert "tool, model, retrieval, orchestration" in types
    assert "success, partial, failure" in statuses
    assert tracer.stats().misfits["unknown_value"] == 6


class _Said(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def test_check_says_where_one_run_went(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """URL, source of the key, accepted; a query service that is not there is no failure."""
    monkeypatch.setenv("AGENTTRACER_API_KEY", "atk_secret")
    said = _Said()
    assert check(api_url=gateway.url, query_url=dead_url(), say=said, within_s=0.1) == 0
    assert said[0] == f"gateway   {gateway.url}"
    assert said[1] == "key       from AGENTTRACER_API_KEY"
    assert said[2].startswith(f"accepted  yes: run {gateway.events[0]['run_id']}")
    assert said[3].startswith("visible   not known")
    assert "atk_secret" not in repr(said)
    assert [event["type"] for event in gateway.events] == ["run_started", "run_finished", "step_finished"]


@pytest.mark.parametrize(("status", "cause"), [(401, "it answers 401"), (404, "it answers 404"), (None, "connection refused")])
def test_check_says_why_a_run_was_not_accepted(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, status: int | None, cause: str
) -> None:
    """In the words of the warning, and by its exit status."""
    monkeypatch.setattr("agenttracer._check._FLUSH_S", 0.5)
    if status is not None:
        gateway.always = Reply(status=status)
    said = _Said()
    assert check(api_url=dead_url() if status is None else gateway.url, say=said, within_s=0.1) == 1
    assert said[-1] == f"accepted  no: {cause}"


@pytest.mark.parametrize("allowed", ["0", "1"])
def test_the_key_goes_to_another_machine_in_clear_only_if_that_is_allowed(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    """Neither to the gateway nor to the query service; `check` says so."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    monkeypatch.setenv("AGENTTRACER_API_KEY", "atk_secret")
    monkeypatch.setenv("AGENTTRACER_ALLOW_INSECURE", allowed)
    asked: list[str | None] = []
    monkeypatch.setattr("agenttracer._check._status_of", lambda _url, *, key: asked.append(key) or 401)
    said, port = _Said(), gateway.url.rpartition(":")[2]
    check(api_url=f"http://gateway.example:{port}", query_url="http://query.example", say=said, within_s=0.1)
    assert {request.headers.get("Authorization") for request in gateway.requests} == {
        "Bearer atk_secret" if allowed == "1" else None
    }
    assert ("atk_secret" in asked) is (allowed == "1")
    assert ("not sent" in said[1]) is (allowed == "0")


def test_check_is_a_command_of_the_package(gateway: FakeGateway) -> None:
    """`python -m agenttracer check`, where nothing else is installed."""
    done = python(
        """
        import runpy, sys
        sys.argv = ["agenttracer", "check", "--query-url", "http://127.0.0.1:9"]
        try:
            runpy.run_module("agenttracer", run_name="__main__")
        except SystemExit as ended:
            print(ended.code)
        """,
        AGENTTRACER_API_URL=gateway.url,
        PYTHONPATH="sdk",
    )
    assert "accepted  yes" in done.stdout, done.stderr
