"""The spool within one process: its bound, its trouble with the disk, and forks."""

import errno
import logging
import os
from pathlib import Path

import pytest

from agenttracer import AgentTracer
from agenttracer._events.encode import EncodedEvent
from agenttracer._spool import segment
from agenttracer._spool.directory import DIRECTORY, SpoolDirectory
from agenttracer._spool.recovery import Recovery
from agenttracer._spool.spool import Spool
from agenttracer.wire.vocabulary import DropReason
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, WaitUntil
from tests.unit.sdk.spools import segments
from tests.unit.sdk.test_process_lifecycle import dead_url, fork


def one_run(tracer: AgentTracer, steps: int = 1) -> None:
    with tracer.start_run() as run:
        for _ in range(steps):
            with run.step("tool", "lookup"):
                pass


def adds_up(tracer: AgentTracer) -> bool:
    stats = tracer.stats()
    return stats.emitted == stats.accepted + sum(stats.dropped.values()) + stats.pending


def test_the_spool_takes_what_the_queue_could_not(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """With the gateway away far more events wait on disk than the queue holds, and all arrive in order, once."""
    gateway.always = Reply(status=503)
    tracer = new_tracer(spool_dir=tmp_path, queue_max_events=100, batch_max_events=20)
    for number in range(16):
        one_run(tracer, steps=48)
        wait_until(lambda given=50 * (number + 1): tracer.stats().spooled == given)
    gateway.always = None
    assert tracer.flush(30).complete
    stats = tracer.stats()
    assert (stats.accepted, stats.dropped, stats.spooled) == (800, {}, 0)
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(set(ids)) == len(ids) == 800
    assert len(segments(tmp_path)) <= 1


def test_the_directory_is_bounded(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil) -> None:
    """A full spool takes nothing more, the queue drops as always, every event is counted, and it goes on when there is room."""
    gateway.always = Reply(status=503)
    tracer = new_tracer(spool_dir=tmp_path, spool_max_bytes=1024 * 1024, queue_max_events=500)
    exporter = tracer._pipeline._exporter
    for _ in range(200):
        one_run(tracer, steps=100)
        if tracer.stats().dropped:
            break
        wait_until(lambda: exporter.queue.waiting == 0 or not exporter._spool_delivery._spool.has_room)
    assert tracer.stats().dropped[DropReason.QUEUE_FULL] > 0
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 1024 * 1024
    assert tracer.stats().spool_failures == 0
    gateway.always = None
    assert tracer.flush(60).complete
    assert adds_up(tracer)
    assert len(gateway.of_kind("run_finished")) > 0


@pytest.mark.parametrize("written", [0, 5])
def test_a_full_disk_switches_the_spool_off(
    new_tracer: NewTracer,
    gateway: FakeGateway,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    written: int,
) -> None:
    """No space left, with or without some bytes written: one warning, counted, and everything is sent from memory."""
    tracer = new_tracer(spool_dir=tmp_path)
    real = os.write

    def write(descriptor: int, frames: bytes) -> int:
        if b"step_finished" not in frames:
            return real(descriptor, frames)
        if written:
            return real(descriptor, frames[:written])
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(segment.os, "write", write)
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        for _ in range(3):
            one_run(tracer, steps=3)
            assert tracer.flush(30).complete
    monkeypatch.undo()
    assert [record.message for record in caplog.records] == [
        "the spool cannot be written; it is off, and events wait in memory only"
    ]
    stats = tracer.stats()
    assert (stats.accepted, stats.dropped, stats.spool_failures, stats.internal_errors) == (15, {}, 1, 0)


@pytest.mark.parametrize("obstacle", ["file", "symlink"])
def test_a_directory_that_is_none_switches_the_spool_off(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, obstacle: str
) -> None:
    """A file or a symbolic link where the directory should be is left alone, and the agent's events are sent from memory."""
    if obstacle == "file":
        (tmp_path / DIRECTORY).write_text("")
    else:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / DIRECTORY).symlink_to(tmp_path / "elsewhere")
    tracer = new_tracer(spool_dir=tmp_path)
    one_run(tracer)
    assert tracer.flush(30).complete
    assert tracer.stats().accepted == 3
    assert tracer.stats().spool_failures == 1
    assert not (tmp_path / "elsewhere").exists() or list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_leaves_events_in_the_spool(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil, status: int
) -> None:
    """One request is refused, nothing is dropped, events go on to the disk during the pause, and after it all of them arrive."""
    gateway.always = Reply(status=503)
    tracer = new_tracer(spool_dir=tmp_path, batch_max_events=10)
    one_run(tracer, steps=98)
    wait_until(lambda: tracer.stats().spooled == 100)
    gateway.always = Reply(status=status)
    delivery = tracer._pipeline._exporter._sender._delivery
    wait_until(lambda: delivery.paused)
    refused = len(gateway.requests)
    one_run(tracer, steps=48)
    wait_until(lambda: tracer.stats().spooled == 150)
    assert not tracer.flush(0.1).complete
    stats = tracer.stats()
    assert (stats.emitted, stats.pending, stats.dropped, len(gateway.requests)) == (150, 150, {}, refused)
    gateway.always = None
    delivery._paused_until = 0.0
    assert tracer.flush(30).complete
    assert tracer.stats().accepted == len({(event["run_id"], event["seq"]) for event in gateway.events}) == 150


def test_what_is_no_segment_is_left_alone(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path) -> None:
    """A folder or a link with a segment's name neither stops the spool nor is touched."""
    strays = [tmp_path / DIRECTORY / "0.segment", tmp_path / DIRECTORY / "1.segment"]
    strays[0].mkdir(parents=True)
    strays[1].symlink_to(tmp_path / "nowhere")
    tracer = new_tracer(spool_dir=tmp_path)
    one_run(tracer)
    assert tracer.flush(30).complete
    assert tracer.stats().spool_failures == 0
    assert tracer._pipeline._exporter._spool_delivery._directory.writable
    assert strays[0].is_dir()
    assert strays[1].is_symlink()


def test_a_disk_without_locks_costs_no_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where flock fails, every look for segments and every new one closes what it opened."""
    (tmp_path / DIRECTORY).mkdir(mode=0o700)
    (tmp_path / DIRECTORY / "0.segment").write_text("")
    opened: set[int] = set()
    monkeypatch.setattr(segment.fcntl, "flock", no_locks)
    monkeypatch.setattr(segment.os, "open", lambda *given, real=os.open: opened.add(made := real(*given)) or made)
    monkeypatch.setattr(segment.os, "close", lambda made, real=os.close: opened.remove(made) or real(made))
    directory = SpoolDirectory(str(tmp_path), max_bytes=2**22, recipient=lambda: "recipient", owner="owner")
    assert Recovery(directory).next_batch(max_events=1) is None
    assert Spool(directory, producer=lambda: b"{}").append([EncodedEvent("run", b"{}", None, counted=True)]) != []
    assert opened == set()
    assert directory.failures >= 1


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "no locks")


def test_segments_that_vanish_are_counted(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Somebody empties our files: what cannot be read back is a counted loss, and the account still adds up."""
    gateway.always = Reply(status=503)
    tracer = new_tracer(spool_dir=tmp_path, batch_max_events=10)
    one_run(tracer, steps=98)
    wait_until(lambda: tracer.stats().spooled == 100)
    for path in segments(tmp_path):
        os.truncate(path, 0)
    gateway.always = None
    wait_until(lambda: tracer.stats().pending == 0)
    stats = tracer.stats()
    assert stats.dropped[DropReason.INTERNAL] == 100 - stats.accepted > 0
    assert adds_up(tracer)


def test_a_forked_child_leaves_the_parents_segments(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The child neither sends nor removes nor unlocks what the parent spooled; its own are its own."""
    gateway.always = Reply(status=503)
    tracer = new_tracer(spool_dir=tmp_path)
    one_run(tracer)
    wait_until(lambda: tracer.stats().spooled == 3)
    child = fork()
    if child == 0:
        one_run(tracer)
        result = tracer.shutdown(0.2)
        os._exit(0 if tracer.stats().adopted == 0 and result.pending == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(segments(tmp_path)) == 2
    gateway.always = None
    assert tracer.flush(30).complete
    wait_until(lambda: tracer.stats().adopted == 3 or rushed(tracer))
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 6
    assert (tracer.stats().accepted, tracer.stats().adopted) == (3, 3)


def rushed(tracer: AgentTracer) -> bool:
    """Not the ten seconds between two looks for what the dead left."""
    tracer._pipeline._exporter._spool_delivery._recovery._look_at = 0.0
    tracer._pipeline._exporter._waiter.wakeup.set()
    return False


def test_nothing_touches_the_disk_unless_asked(new_tracer: NewTracer, tmp_path: Path) -> None:
    """A spool that was never needed makes no directory."""
    tracer = new_tracer(spool_dir=tmp_path, api_url=dead_url())
    assert tracer.shutdown(0).complete
    assert list(tmp_path.iterdir()) == []
