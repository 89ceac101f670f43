"""Processes that are killed with the spool on, and the next ones that deliver what they left."""

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from agenttracer import AgentTracer
from agenttracer._segment import framed
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, WaitUntil
from tests.unit.sdk.spools import killed_after_its_word, records, segments, start
from tests.unit.sdk.test_lifecycle import dead_url

DIES = """
    for _ in range({runs}):
        one_run(steps=8)
    until_spooled({runs} * 10)
    print(tracer.stats().spooled, flush=True)
    sys.stdin.read()
"""


def die(directory: Path, *, runs: int = 20, url: str | None = None) -> int:
    given = {"AGENTTRACER_API_URL": url or dead_url(), "AGENTTRACER_SPOOL_DIR": str(directory)}
    (count,) = killed_after_its_word(DIES.format(runs=runs), **given)
    return int(count)


def one_run(tracer: AgentTracer) -> None:
    with tracer.start_run() as run, run.step("tool", "lookup"):
        pass


def adopted(new_tracer: NewTracer, directory: Path, wait_until: WaitUntil, **settings: object) -> AgentTracer:
    tracer = new_tracer(spool_dir=directory, **settings)
    one_run(tracer)
    assert tracer.flush(30).complete
    wait_until(lambda: not any(path.stat().st_size > 1_000 for path in segments(directory)))
    return tracer


@pytest.mark.parametrize("away", ["refused", "silent", "busy"])
def test_the_next_process_delivers_what_a_killed_one_spooled(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil, away: str
) -> None:
    """SIGKILL with the gateway away: every event that was accepted to the spool arrives once, in order, as the dead one's."""
    gateway.always = {"silent": Reply(hang=True), "busy": Reply(status=503)}.get(away)
    count = die(tmp_path, url=None if away == "refused" else gateway.url)
    gateway.always = None
    before = len(gateway.requests)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == count)
    assert count == 200
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 203
    sent = [request.batch for request in gateway.requests[before:]]
    of_the_dead = [batch for batch in sent if batch["producer"]["agent"] == "dying"]
    assert sum(len(batch["events"]) for batch in of_the_dead) == 200
    ends = [event["ended_at"] for batch in of_the_dead for event in batch["events"] if event["type"] == "run_finished"]
    assert ends == sorted(ends)
    assert tracer.stats().emitted == tracer.stats().accepted == 3


@pytest.mark.parametrize("cut", [1, 7, 9, 60])
def test_a_torn_segment_loses_at_most_its_torn_record_and_says_so(
    new_tracer: NewTracer,
    gateway: FakeGateway,
    tmp_path: Path,
    wait_until: WaitUntil,
    *,
    caplog: pytest.LogCaptureFixture,
    cut: int,
) -> None:
    """The last record is cut short at some byte: all the others arrive, one is counted, one line warns."""
    count = die(tmp_path)
    (torn,) = segments(tmp_path)
    os.truncate(torn, torn.stat().st_size - cut)
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        tracer = adopted(new_tracer, tmp_path, wait_until)
        wait_until(lambda: tracer.stats().adopted == count - 1)
    assert tracer.stats().adopted_lost == 1
    assert [record.message for record in caplog.records] == [
        "a segment of an earlier process is torn or damaged: 1 record(s) of it are lost, the others are sent"
    ]


def test_a_damaged_record_costs_only_itself(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A flipped bit in the middle is found by the checksum; what follows is still read."""
    count = die(tmp_path)
    (segment,) = segments(tmp_path)
    raw = bytearray(segment.read_bytes())
    raw[raw.index(b"lookup", len(raw) // 2)] ^= 1
    segment.write_bytes(raw)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == count - 1)
    assert tracer.stats().adopted_lost == 1


def test_nothing_but_events_comes_out_of_a_segment(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """What was written into the file by somebody else is rebuilt from the contract or not sent."""
    die(tmp_path, runs=1)
    (segment,) = segments(tmp_path)
    event = records(segment)[1]
    forged = [json.dumps({**event, "prompt": "CANARY", "seq": 77}), '{"type": "CANARY"}', "CANARY", '"CANARY"']
    with segment.open("ab") as file:
        file.writelines(framed(record.encode()) for record in forged)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == 11)
    assert tracer.stats().adopted_lost == 3
    assert "CANARY" not in str([request.batch for request in gateway.requests])


def test_a_living_process_keeps_its_segments(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path) -> None:
    """Two processes in one directory: neither drains what the other owns, while that lives."""
    process = start(DIES.format(runs=1), AGENTTRACER_API_URL=dead_url(), AGENTTRACER_SPOOL_DIR=str(tmp_path))
    try:
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["10"]
        tracer = new_tracer(spool_dir=tmp_path)
        one_run(tracer)
        assert tracer.flush(30).complete
        assert tracer.stats().adopted == 0
        assert len(gateway.events) == 3
    finally:
        process.kill()
        process.communicate()


def test_what_could_not_be_flushed_at_exit_stays_in_the_spool(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """With the gateway away an ending process says how much waits in the spool, and the next one delivers it."""
    process = start("one_run(steps=98)", AGENTTRACER_API_URL=dead_url(), AGENTTRACER_SPOOL_DIR=str(tmp_path))
    _, errors = process.communicate(timeout=60)
    assert errors == "agenttracer: 100 events of dying could not be sent before the end; 100 of them wait in the spool\n"
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == 100)


def test_a_process_stuck_in_a_call_spools_the_rest_at_its_end(gateway: FakeGateway, tmp_path: Path) -> None:
    """The gateway never answers while the process ends: what came after the hanging request is on disk all the same."""
    gateway.always = Reply(hang=True)
    process = start(
        """
        one_run()
        until_spooled(3)
        one_run(steps=5)
        """,
        AGENTTRACER_API_URL=gateway.url,
        AGENTTRACER_SPOOL_DIR=str(tmp_path),
    )
    _, errors = process.communicate(timeout=60)
    assert errors.endswith("; 10 of them wait in the spool\n")
    assert sum("seq" in record for path in segments(tmp_path) for record in records(path)) == 10


def test_only_the_owner_may_read_the_spool(tmp_path: Path) -> None:
    """The directory is 0700 and every file 0600, whatever the umask."""
    process = start("import os; os.umask(0); one_run()", AGENTTRACER_API_URL=dead_url(), AGENTTRACER_SPOOL_DIR=str(tmp_path))
    process.communicate(timeout=60)
    assert stat.S_IMODE((tmp_path / "agenttracer-spool").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path)] == [0o600]


def test_a_spooling_program_with_a_gateway_leaves_nothing(gateway: FakeGateway, tmp_path: Path) -> None:
    """Everything sent: silent, and no file stays."""
    process = start(
        "one_run(steps=3_000)",
        AGENTTRACER_API_URL=gateway.url,
        AGENTTRACER_SPOOL_DIR=str(tmp_path),
        AGENTTRACER_REQUEST_TIMEOUT_S="30",
        AGENTTRACER_EXIT_TIMEOUT_S="30",
    )
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert len(gateway.events) == 3_002
    assert segments(tmp_path) == []
