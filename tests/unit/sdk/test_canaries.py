"""More than a thousand canaries through every channel the SDK has, frameworks included; every byte that leaves is searched."""

import io
import json
import logging
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agenttracer import AgentTracer
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Scanner
from tests.unit.sdk.canaries import calls, langchain, openai_agents, opentelemetry
from tests.unit.sdk.canaries.surface import Surface
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply
from tests.unit.sdk.spools import segments

FRAMEWORKS: Final = (langchain.offer, openai_agents.offer, opentelemetry.offer)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that is logged at any level, filled in."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("agenttracer")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def offer_all(tracer: AgentTracer, sing: Canaries, *, rounds: int) -> dict[str, int]:
    """Offer through every channel, and say how many canaries each was offered."""
    offered: dict[str, int] = {}
    for _ in range(rounds):
        for offer in (*calls.CHANNELS, *FRAMEWORKS):
            before = len(sing.planted)
            offer(tracer, sing)
            name = f"{offer.__module__}.{offer.__name__}"
            offered[name] = offered.get(name, 0) + len(sing.planted) - before
    return offered


def every_byte(gateway: FakeGateway, directory: Path) -> Iterator[tuple[str, bytes]]:
    """Of every request and of the spool, its files' names included."""
    for request in gateway.requests:
        yield "request", repr((request.path, request.headers)).encode() + json.dumps(request.batch).encode()
        yield "request as sent", request.wire_bytes
    for path in segments(directory):
        yield "spool", os.fsencode(path) + path.read_bytes()


def settings(sing: Canaries, directory: Path) -> dict[str, Any]:
    said = {"agent_id": sing.text(), "agent_version": sing.text()}
    return {**said, "spool_dir": directory, "fingerprint_key": b"k" * 16, "request_timeout_s": 1}


@pytest.mark.parametrize("away", [False, True])
def test_no_canary_is_sent_or_spooled(
    new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path, lines: io.StringIO, *, away: bool
) -> None:
    """None in any request, file name, byte of the spool, log line or statistic, in any form; the events are there."""
    gateway.always = Reply(status=503) if away else None
    sing = Canaries()
    tracer = new_tracer(**settings(sing, tmp_path))
    offered = offer_all(tracer, sing, rounds=12)
    tracer.flush(1 if away else 30)
    result = tracer.shutdown(0 if away else 30)
    assert sum(offered.values()) >= 1_000
    assert min(offered.values()) >= 12
    places = list(every_byte(gateway, tmp_path))
    said = ("log", lines.getvalue().encode()), ("statistics", repr(tracer.stats()).encode())
    assert Scanner(sing).scan([*places, *said]).places == {}
    assert sum(data.count(b"run_finished") for name, data in places if name != "request as sent") >= 12 * len(offered)
    assert (result.dropped, tracer.stats().internal_errors) == (0, 0)
    assert lines.getvalue(), "misfits are warned of"


def test_without_the_filter_they_are_found(new_tracer: NewTracer, gateway: FakeGateway, tmp_path: Path) -> None:
    """The control: of the same canaries 99 % are found where everything that the SDK was given is sent, channel by channel."""
    sing, surface = Canaries(), Surface()
    with surface.watched():
        tracer = new_tracer(**settings(sing, tmp_path))
        offer_all(tracer, sing, rounds=3)
    assert tracer.flush(30).complete
    everything = json.dumps({"events": [], "kept": surface.kept}).encode()
    with urllib.request.urlopen(f"{gateway.url}/v1/events", everything, timeout=30) as answer:
        assert answer.status == 202
    found = Scanner(sing).scan(every_byte(gateway, tmp_path))
    missed = [number for number in range(len(sing.planted)) if number not in found.numbers]
    assert found.share_of(sing) >= 0.99, missed
