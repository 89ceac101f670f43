from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import services
from deploy.errors import StartError
from deploy.local_stack.process_table import identify
from deploy.roster import running_services, stop_services
from deploy.services import Service

HERE = str(Path(__file__).parent)
MakeService = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeService]:
    made = []

    def tiny(name: str = "tiny", **environment: str) -> Service:
        service = Service(
            name=name,
            module="tiny_service",
            state_dir=tmp_path,
            port_variable="TINY_PORT",
            preferred_port=25_000 + len(made),
            environment={"PYTHONPATH": HERE, **environment},
        )
        made.append(service)
        return service

    yield tiny
    for service in made:
        service.kill()


def test_a_service_starts_gets_ready_and_ends(make: MakeService) -> None:
    """Its pid is known while it runs, and None after."""
    service = make()
    assert service.pid is None
    service.start()
    service.wait_ready(20)
    pid = service.pid
    assert pid is not None
    assert service.is_ready()
    service.terminate(grace_s=10)
    assert service.pid is None
    assert identify(pid) is None
    assert not service.is_ready()


def test_a_service_keeps_its_port_over_a_crash(make: MakeService) -> None:
    """What was told to clients stays right."""
    service = make()
    service.start()
    service.wait_ready(20)
    url = service.url
    service.kill()
    service.start()
    service.wait_ready(20)
    assert service.url == url


def test_a_service_that_dies_is_reported_with_its_last_words(make: MakeService) -> None:
    """The error holds the end of the log, not a time-out."""
    service = make(TINY_DIES="1")
    service.start()
    with pytest.raises(StartError, match="tiny: missing setting"):
        service.wait_ready(20)


def test_a_service_that_ignores_sigterm_is_killed(make: MakeService) -> None:
    """The wait is bounded."""
    service = make(TINY_IGNORES_TERM="1")
    service.start()
    service.wait_ready(20)
    service.terminate(grace_s=0.2)
    assert service.pid is None


def test_a_service_left_over_is_replaced_not_doubled(make: MakeService, tmp_path: Path) -> None:
    """Another command's `start` ends the one that runs."""
    service = make()
    service.start()
    service.wait_ready(20)
    first = service.pid
    again = make()
    again.start()
    again.wait_ready(20)
    assert again.pid != first
    assert identify(first) is None
    assert [process.name for process in running_services(tmp_path)] == ["tiny"]


def test_every_service_of_a_state_directory_is_found_and_stopped(make: MakeService, tmp_path: Path) -> None:
    """Whoever started them, with or without a record; the gateway goes first."""
    for name in ("worker-1", "gateway"):
        service = make(name=name)
        service.start()
        service.wait_ready(20)
    (tmp_path / "run" / "worker-1.json").unlink()
    said = []
    stop_services(tmp_path, report=said.append)
    assert said == ["gateway stopped", "worker-1 stopped"]
    assert running_services(tmp_path) == []


def test_our_services_get_their_settings_by_their_prefixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One prefix a service; a port from the environment is the preferred one."""
    monkeypatch.setenv("AGENTTRACER_QUERY_PORT", "18001")
    monkeypatch.delenv("AGENTTRACER_WORKER_PORT", raising=False)
    assert services.query(state_dir=tmp_path, postgres_dsn="dsn", key_pepper="p").port == 18001
    second = services.worker(number=2, state_dir=tmp_path, kafka_bootstrap="k", postgres_dsn="dsn", topic="t")
    assert (second.name, second.port) == ("worker-2", 8003)
