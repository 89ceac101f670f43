"""The demo against a pipeline of real processes: its exit code, its figures, and what it prints into a log."""

import json
from pathlib import Path

import pytest

from agenttracer_cli.demo import progress, run_demo
from agenttracer_cli.local.endpoints import PipelineEndpoints
from tests.support.pipeline import Pipeline

PROVOKED = {
    "abandoned",
    "auth",
    "cancelled",
    "connection",
    "content_filtered",
    "context_overflow",
    "empty_retrieval",
    "invalid_input",
    "not_found",
    "rate_limited",
    "schema_invalid",
    "server_error",
    "timeout",
    "unhandled_exception",
}


def endpoints(pipeline: Pipeline) -> PipelineEndpoints:
    """Gateway and query service of the pipeline; the demo asks for nothing else."""
    return PipelineEndpoints(
        gateway_url=pipeline.gateway().url,
        query_url=pipeline.query().url,
        worker_urls=(),
        kafka_bootstrap=pipeline.stack.bootstrap,
        topic=pipeline.topic,
        postgres_address="",
        local_kafka=False,
        local_postgres=False,
    )


def test_the_demo_shows_everything_it_sent(pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted equals stored, every failure class is found, and a second demo in the same store counts only its own."""
    where, file = endpoints(pipeline), tmp_path / "build" / "demo.json"
    pipeline.worker()
    for _ in range(2):
        assert run_demo(where, figures_file=file) == 0
        figures = json.loads(file.read_text())
        assert figures["accepted"] == figures["stored"] == figures["emitted"] > 2_000
        assert figures["runs"] == figures["runs_started"] == 306
        assert set(figures["failures"]) >= PROVOKED
        assert set(figures["failures_by_type"]) == {"tool", "model", "retrieval", "orchestration"}
        assert figures["seconds_to_first_visible"] <= figures["seconds_to_visible"] < 60
        assert figures["runs_by_status"]["abandoned"] == 1
    printed = capsys.readouterr().out
    for section in ("Runs", "One failed run", "Steps", "Failures by class", f"{figures['accepted']:,} accepted = "):
        assert section in printed
    assert all(sign.isprintable() or sign == "\n" for sign in printed), "a log gets no control characters"


def test_without_a_worker_the_demo_fails_and_says_what_is_missing(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything was accepted, nothing is stored: exit code 1, and the figures say so."""
    monkeypatch.setattr(progress, "VISIBLE_WITHIN_S", 1.0)
    assert run_demo(endpoints(pipeline), figures_file=tmp_path / "demo.json") == 1
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert figures["accepted"] > figures["stored"] == 0
    assert "failure class timeout was provoked and not found" in figures["missing"]
    assert "≠ 0 stored" in capsys.readouterr().out
