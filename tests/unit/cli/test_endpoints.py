from pathlib import Path

import pytest

from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.local.endpoints import FILE_NAME, PipelineEndpoints, read_endpoints, remove_endpoints, write_endpoints
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure

ENDPOINTS = PipelineEndpoints(
    gateway_url="http://127.0.0.1:8000",
    query_url="http://127.0.0.1:8001",
    worker_urls=("http://127.0.0.1:8002",),
    kafka_bootstrap="127.0.0.1:9092",
    topic="t",
    postgres_address="127.0.0.1:5432/agenttracer",
    local_kafka=True,
    local_postgres=True,
)


def test_endpoints_are_read_as_they_were_written(tmp_path: Path) -> None:
    """And are gone after they were taken back."""
    write_endpoints(tmp_path, ENDPOINTS)
    assert read_endpoints(tmp_path) == ENDPOINTS
    remove_endpoints(tmp_path)
    with pytest.raises(NotRunningError, match="agenttracer up"):
        read_endpoints(tmp_path)


def test_a_damaged_file_counts_as_nothing_up(tmp_path: Path) -> None:
    """Nobody sees a traceback for it."""
    (tmp_path / FILE_NAME).write_text("{}")
    with pytest.raises(NotRunningError):
        read_endpoints(tmp_path)


def test_the_address_of_postgres_never_holds_the_password(tmp_path: Path) -> None:
    """Only host, port and database are shown and published."""
    existing = ExistingServers("k:9092", "postgresql://owner:secret@db.example:6000/tracer")
    infrastructure = Infrastructure(tmp_path, existing=existing, report=lambda _: None)
    assert infrastructure.postgres_address == "db.example:6000/tracer"
    assert infrastructure.local_servers == []


def test_a_service_can_have_a_url_of_its_own_on_an_existing_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that production roles can be told apart."""
    infrastructure = Infrastructure(
        tmp_path, existing=ExistingServers(postgres_dsn="postgresql://all@db/x"), report=lambda _: None
    )
    monkeypatch.setenv("AGENTTRACER_WORKER_POSTGRES_DSN", "postgresql://worker@db/x")
    assert infrastructure.service_dsn("agenttracer_worker") == "postgresql://worker@db/x"
    assert infrastructure.service_dsn("agenttracer_query") == "postgresql://all@db/x?role=agenttracer_query"
