"""A thousand canaries, offered through every channel the SDK has; every byte sent or spooled is searched."""

import base64
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agenttracer import AgentTracer, _step
from agenttracer._fit import Fit
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply
from tests.unit.sdk.spools import segments

COUNT = 1_000


def canary(number: int) -> str:
    return f"CANARY{number:04d} said: please keep this to yourself!"


def marks(number: int) -> list[bytes]:
    """What of a canary would be found, plain or encoded."""
    plain = f"CANARY{number:04d}".encode()
    return [plain, plain.lower(), plain.hex().encode(), base64.b64encode(plain)[:12]]


class CodedError(Exception):
    """Like a client's error whose code and status are sentences."""

    def __init__(self, text: str) -> None:
        super().__init__(text, {"prompt": text})
        self.code = self.status_code = self.type = self.param = self.body = text


def raising(tracer: AgentTracer, error: BaseException) -> None:
    with contextlib.suppress(type(error)), tracer.start_run() as run, run.step("tool", "lookup"):
        raise error


def as_cause(tracer: AgentTracer, text: str) -> None:
    error, error.__cause__ = (cause := ValueError("outer")), None
    cause.__cause__ = RuntimeError(text)
    raising(tracer, error)


def as_note(tracer: AgentTracer, text: str) -> None:
    error = ValueError()
    error.add_note(text)
    raising(tracer, error)


def as_metadata(key: str | None = None) -> Callable[[AgentTracer, str], None]:
    def offer(tracer: AgentTracer, text: str) -> None:
        with tracer.start_run() as run, run.step("tool", "lookup") as step:
            step.add_metadata({text: 1} if key is None else {key: text})

    return offer


def as_nested(tracer: AgentTracer, text: str) -> None:
    hidden: dict[str, Any] = {"list": [text], "map": {"key": text}, "bytes": text.encode(), "long": text * 50}
    with tracer.start_run() as run, run.step("tool", "lookup") as step:
        step.add_metadata(hidden)


def as_generated(tracer: AgentTracer, text: str) -> None:
    @tracer.traced_run
    def generate(prompt: str) -> Iterator[str]:
        yield prompt
        yield text

    assert list(generate(text)) == [text, text]


def as_failure(tracer: AgentTracer, text: str) -> None:
    with tracer.start_run() as run:
        run.record_failure(failure_type=text, failure_code=text, message=text)


def as_step(tracer: AgentTracer, text: str) -> None:
    with tracer.start_run() as run, run.step(text, text):
        run.set_status(text)


def as_run(tracer: AgentTracer, text: str) -> None:
    with tracer.start_run(metadata={"note": text, text: 1}, traceparent=text):
        pass


CHANNELS: dict[str, Callable[[AgentTracer, str], None]] = {
    "run": as_run,
    "step": as_step,
    "failure": as_failure,
    "metadata key": as_metadata(),
    "metadata value": as_metadata("note"),
    "content key": as_metadata("prompt"),
    "nested": as_nested,
    "exception": lambda tracer, text: raising(tracer, ValueError(text, {"args": text})),
    "error codes": lambda tracer, text: raising(tracer, CodedError(text)),
    "os error": lambda tracer, text: raising(tracer, OSError(2, text, text)),
    "key error": lambda tracer, text: raising(tracer, KeyError(text)),
    "cause": as_cause,
    "note": as_note,
    "group": lambda tracer, text: raising(tracer, ExceptionGroup(text, [ValueError(text)])),
    "generator": as_generated,
}


def offer_all(tracer: AgentTracer, channels: dict[str, Callable[[AgentTracer, str], None]]) -> None:
    for number, offer in zip(range(COUNT), itertools.cycle(channels.values()), strict=False):
        offer(tracer, canary(number))


def found(places: bytes) -> int:
    return sum(any(mark in places for mark in marks(number)) for number in range(COUNT))


def every_byte(gateway: FakeGateway, directory: Path) -> bytes:
    sent = b"".join(repr((request.batch, request.headers, request.path)).encode() for request in gateway.requests)
    names = b"".join(os.fsencode(path) for path in segments(directory))
    return sent + names + b"".join(path.read_bytes() for path in segments(directory))


@pytest.mark.parametrize("away", [False, True])
def test_no_canary_is_sent_or_spooled(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, *, away: bool) -> None:
    """1,000 canaries through every channel: none in any request, file name or byte of the spool; the events are there."""
    gateway.always = Reply(status=503) if away else None
    tracer = new_tracer(
        agent_id=f"a {canary(0)}" * 2, agent_version=canary(1), spool_dir=tmp_path, fingerprint_key=b"key", request_timeout_s=1
    )
    offer_all(tracer, CHANNELS)
    tracer.flush(1 if away else 30)
    result = tracer.shutdown(0 if away else 30)
    places = every_byte(gateway, tmp_path)
    assert found(places) == 0
    assert places.count(b"run_finished") >= COUNT
    assert result.dropped == 0
    assert found(repr(tracer.stats()).encode()) == 0


def test_the_search_finds_canaries_where_nothing_keeps_them_back(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the rebuilding of metadata and names disabled, at least 99 % of the same canaries are found."""
    monkeypatch.setattr(Fit, "metadata", lambda _self, given: dict(given or {}))
    monkeypatch.setattr(Fit, "name", lambda _self, value, *, field: value)
    monkeypatch.setattr(_step.Step, "_add", lambda _self, kept, key, value: kept.update({key: value}))
    tracer = new_tracer(spool_dir=tmp_path)
    open_channels = {name: CHANNELS[name] for name in ("step", "metadata key", "metadata value", "content key")}
    with_run = {**open_channels, "run": lambda tracer, text: tracer.start_run(metadata={"note": text}).end()}
    offer_all(tracer, with_run)
    assert tracer.flush(30).complete
    assert found(every_byte(gateway, tmp_path)) >= COUNT * 99 // 100
