"""Processes that are killed with the spool on, and the next ones that deliver what they left."""

import json
import logging
import os
import re
import stat
import time
from pathlib import Path

import pytest

from agenttracer import AgentTracer
from agenttracer._spool.segment import frame_record
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, WaitUntil, losses
from tests.unit.sdk.spools import killed_after_its_word, records, segments, start
from tests.unit.sdk.test_process_lifecycle import dead_url
from tests.unit.sdk.test_spool import rushed

DIES = """
    for _ in range({runs}):
        one_run(steps=8)
    until_spooled({runs} * 10)
    print(tracer.stats().spooled, flush=True)
    sys.stdin.read()
"""


def die(directory: Path, gateway: FakeGateway, *, runs: int = 20, away: Reply | None = None, key: str = "") -> int:
    """Spool while `gateway` is away, and be killed; then it is back."""
    given = {"AGENTTRACER_API_URL": gateway.url, "AGENTTRACER_API_KEY": key, "AGENTTRACER_SPOOL_DIR": str(directory)}
    gateway.always = away or Reply(status=503)
    (count,) = killed_after_its_word(DIES.format(runs=runs), **given)
    gateway.always = None
    gateway.requests.clear()
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


@pytest.mark.parametrize("away", [Reply(cut=True), Reply(hang=True), Reply(status=503)], ids=["cut", "silent", "busy"])
def test_the_next_process_delivers_what_a_killed_one_spooled(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil, away: Reply
) -> None:
    """SIGKILL with the gateway away: every event that was accepted to the spool arrives once, in order, as the dead one's."""
    count = die(tmp_path, gateway, away=away)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == count)
    assert count == 200
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 203
    sent = [request.batch for request in gateway.requests]
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
    count = die(tmp_path, gateway)
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
    count = die(tmp_path, gateway)
    (segment,) = segments(tmp_path)
    raw = bytearray(segment.read_bytes())
    raw[raw.index(b"lookup", len(raw) // 2)] ^= 1
    segment.write_bytes(raw)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == count - 1)
    assert tracer.stats().adopted_lost == 1


def test_a_damaged_head_loses_what_is_counted(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil, *, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its producer nothing of a segment can be sent: every event of it is counted, and none is said to be sent."""
    count = die(tmp_path, gateway)
    (segment,) = segments(tmp_path)
    raw = bytearray(segment.read_bytes())
    raw[12] ^= 1
    segment.write_bytes(raw)
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        tracer = adopted(new_tracer, tmp_path, wait_until)
        wait_until(lambda: tracer.stats().adopted_lost)
    assert tracer.stats().adopted_lost == count == 200
    assert [record.message for record in caplog.records] == [
        "a segment of an earlier process is torn or damaged: 200 record(s) of it are lost"
    ]


@pytest.mark.parametrize("other", ["key", "gateway"])
def test_nobody_sends_what_was_spooled_for_another(
    new_tracer: NewTracer,
    gateway: FakeGateway,
    tmp_path: Path,
    wait_until: WaitUntil,
    *,
    caplog: pytest.LogCaptureFixture,
    other: str,
) -> None:
    """A segment for another key or gateway stays, with one warning and no key in any name; who has both delivers it."""
    count = die(tmp_path, gateway, key="key_of_a")
    (segment,) = segments(tmp_path)
    elsewhere = {"api_key": "key_of_b"} if other == "key" else {"api_key": "key_of_a", "api_url": f"{gateway.url}/elsewhere"}
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        tracer = new_tracer(spool_dir=tmp_path, **elsewhere)
        one_run(tracer)
        wait_until(lambda: caplog.records)
        assert tracer.flush(30).complete
    assert {request.batch["producer"]["agent"] for request in gateway.requests} == {"agent"}
    assert segment in segments(tmp_path)
    assert "key_of" not in str(segments(tmp_path))
    assert [record.message for record in caplog.records] == [
        "the spool has events for another gateway or API key; they wait for its next process"
    ]
    assert tracer.shutdown(30).complete
    owner = new_tracer(spool_dir=tmp_path, api_key="key_of_a")
    one_run(owner)
    wait_until(lambda: owner.stats().adopted == count)
    wait_until(lambda: not segment.exists())


def test_a_segment_is_handed_to_another_key_by_its_name(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """After a key was changed, renaming the old one's segments lets a process with the new one send them."""
    count = die(tmp_path, gateway, key="old")
    (segment,) = segments(tmp_path)
    tracer = new_tracer(spool_dir=tmp_path, api_key="new")
    one_run(tracer)
    assert tracer.flush(30).complete
    (own,) = set(segments(tmp_path)) - {segment}
    old, new = (path.name.split("-")[1] for path in (segment, own))
    segment.rename(segment.with_name(segment.name.replace(old, new)))
    wait_until(lambda: tracer.stats().adopted == count or rushed(tracer))


def test_a_refused_key_leaves_the_dead_ones_events_on_disk(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A 401 for what was adopted loses nothing of it: a later process with a key that is known again sends it."""
    count = die(tmp_path, gateway)
    gateway.always = Reply(status=401)
    tracer = new_tracer(spool_dir=tmp_path)
    one_run(tracer)
    wait_until(lambda: tracer._pipeline._exporter._sender._delivery.paused)
    tracer.shutdown(0.2)
    assert (tracer.stats().adopted, tracer.stats().adopted_lost) == (0, 0)
    gateway.always = None
    later = new_tracer(spool_dir=tmp_path)
    one_run(later)
    wait_until(lambda: later.stats().adopted == count + 3 or rushed(later))


def test_nothing_but_events_comes_out_of_a_segment(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A record of another program is rebuilt from the contract or not sent."""
    die(tmp_path, gateway, runs=1)
    (segment,) = segments(tmp_path)
    event = records(segment)[1]
    forged = [json.dumps({**event, "prompt": "CANARY", "seq": 77}), '{"type": "CANARY"}', "CANARY", '"CANARY"']
    with segment.open("ab") as file:
        file.writelines(frame_record(record.encode()) for record in forged)
    tracer = adopted(new_tracer, tmp_path, wait_until)
    wait_until(lambda: tracer.stats().adopted == 11)
    assert tracer.stats().adopted_lost == 3
    assert "CANARY" not in str([request.batch for request in gateway.requests])


def test_a_living_process_keeps_its_segments(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path) -> None:
    """Two processes in one directory: neither drains what the other owns, while that lives."""
    gateway.always = Reply(status=503)
    process = start(DIES.format(runs=1), AGENTTRACER_API_URL=gateway.url, AGENTTRACER_SPOOL_DIR=str(tmp_path))
    try:
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["10"]
        gateway.rule = lambda request: Reply(status=503 if request.batch["producer"]["agent"] == "dying" else 202)
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
    gateway.always = Reply(status=503)
    process = start("one_run(steps=98)", AGENTTRACER_API_URL=gateway.url, AGENTTRACER_SPOOL_DIR=str(tmp_path))
    _, errors = process.communicate(timeout=60)
    gateway.always = None
    assert losses(errors) == ["agenttracer: 100 events of dying could not be sent before the end; 100 of them wait in the spool"]
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


@pytest.mark.parametrize("disk", ["quick", "slow"])
def test_exit_is_bounded_however_much_waits_for_the_spool(gateway: FakeGateway, tmp_path: Path, disk: str) -> None:
    """More events than the time allows to write, or a write that hangs: the process ends, and says what is lost and what waits.

    Its exit time is 0.5 s; ten times that is far from the minutes that either would take, and true on a busy machine.
    """
    gateway.always = Reply(status=503)
    process = start(
        """
        import os, time
        from agenttracer._spool import segment
        one_run()
        until_spooled(3)
        slow = sys.stdin.readline().strip() == "slow"
        writing = []
        class Disk:
            def __getattr__(self, name):
                return getattr(os, name)
            def write(self, *given):
                writing.append(given)
                time.sleep(60 if slow else 0.1)
                return os.write(*given)
        segment.os = Disk()
        one_run(5 if slow else 50_000)
        while slow and not writing:
            time.sleep(0.01)
        print("over", flush=True)
        """,
        AGENTTRACER_API_URL=gateway.url,
        AGENTTRACER_SPOOL_DIR=str(tmp_path),
        AGENTTRACER_BATCH_MAX_EVENTS="100",
        AGENTTRACER_QUEUE_MAX_EVENTS="100000",
        AGENTTRACER_QUEUE_MAX_BYTES="1000000000",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{disk}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "over\n"
    over = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - over < 20  # a third of what the disk takes, at the most
    line = r"agenttracer: (\d+) events of dying could not be sent before the end; (\d+) of them wait in the spool"
    said = re.fullmatch(line, "\n".join(losses(errors)))
    assert said is not None, errors
    total, kept = map(int, said.groups())
    assert 3 <= kept < total == (10 if disk == "slow" else 50_005)
