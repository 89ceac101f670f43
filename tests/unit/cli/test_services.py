from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agenttracer_cli.errors import StartError
from agenttracer_cli.local import services
from agenttracer_cli.local.running_services import running_services, stop_services
from agenttracer_cli.local.services import Service
from agenttracer_cli.local_stack import ports
from agenttracer_cli.local_stack.ports import is_free
from agenttracer_cli.local_stack.process_table import identify

HERE = str(Path(__file__).parent)
PORT = 25_000
MakeService = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeService]:
    made = []

    def tiny(name: str = "tiny", *, state_dir: Path = tmp_path, preferred_port: int | None = None, **environment: str) -> Service:
        service = Service(
            name=name,
            module="tiny_service",
            state_dir=state_dir,
            port_variable="TINY_PORT",
            preferred_port=preferred_port or PORT + len(made),
            environment={"PYTHONPATH": HERE, **environment},
        )
        made.append(service)
        return service

    yield tiny
    for service in made:
        service.kill()


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state directory's first look finds its port free, as when others look at the same moment."""
    looked: Counter[int] = Counter()

    def free(port: int) -> bool:
        looked[port] += 1
        return looked[port] <= 2 or is_free(port)

    monkeypatch.setattr(ports, "is_free", free)


def test_a_service_starts_gets_ready_and_ends(make: MakeService) -> None:
    """Its pid is known while it runs, and None after."""
    service = make()
    assert service.pid is None
    service.start()
    service.wait_ready(quiet_s=20)
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
    service.wait_ready(quiet_s=20)
    url = service.url
    service.kill()
    service.start()
    service.wait_ready(quiet_s=20)
    assert service.url == url


def test_a_service_that_dies_is_reported_with_its_last_words(make: MakeService) -> None:
    """The error holds the end of the log, not a time-out."""
    service = make(TINY_DIES="1")
    service.start()
    with pytest.raises(StartError, match="tiny: missing setting"):
        service.wait_ready(quiet_s=20)


def test_two_services_that_chose_the_same_port_both_get_ready(make: MakeService, tmp_path: Path, blind: None) -> None:
    """Who was second to listen moves, and neither takes the other for itself."""
    first = make()
    second = make(state_dir=tmp_path / "second", preferred_port=first.port)
    for service in (first, second):
        service.start()
    assert first.port == second.port
    for service in (first, second):
        service.wait_ready(quiet_s=20)
    assert first.port != second.port
    assert {first.is_ready(), second.is_ready()} == {True}


def test_a_stranger_that_says_ready_is_not_taken_for_ours(make: MakeService, tmp_path: Path, blind: None) -> None:
    """Even while our own process lives: it hears nothing, so it is moved to a port that it has for itself."""
    stranger = make(state_dir=tmp_path / "stranger")
    stranger.start()
    stranger.wait_ready(quiet_s=20)
    service = make(preferred_port=stranger.port, TINY_NEVER_LISTENS_ON=str(stranger.port))
    service.start()
    assert service.port == stranger.port
    assert not service.is_ready()
    service.wait_ready(quiet_s=20)
    assert service.port != stranger.port


def test_a_shared_port_is_not_ready(make: MakeService, tmp_path: Path, blind: None) -> None:
    """Where the system gives half of the connections to somebody else, it is not ours."""
    stranger = make(state_dir=tmp_path / "stranger", TINY_SHARES="1")
    stranger.start()
    stranger.wait_ready(quiet_s=20)
    service = make(preferred_port=stranger.port, TINY_SHARES="1")
    service.start()
    service.wait_ready(quiet_s=20)
    assert service.port != stranger.port


def test_a_service_that_ignores_sigterm_is_killed(make: MakeService) -> None:
    """The wait is bounded."""
    service = make(TINY_IGNORES_TERM="1")
    service.start()
    service.wait_ready(quiet_s=20)
    service.terminate(grace_s=0.2)
    assert service.pid is None


def test_a_service_left_over_is_replaced_not_doubled(make: MakeService, tmp_path: Path) -> None:
    """Another command's `start` ends the one that runs."""
    service = make()
    service.start()
    service.wait_ready(quiet_s=20)
    first = service.pid
    again = make()
    again.start()
    again.wait_ready(quiet_s=20)
    assert again.pid != first
    assert identify(first) is None
    assert [process.name for process in running_services(tmp_path)] == ["tiny"]


def test_every_service_of_a_state_directory_is_found_and_stopped(make: MakeService, tmp_path: Path) -> None:
    """Whoever started them, with or without a record; the gateway goes first."""
    for name in ("worker-1", "gateway"):
        service = make(name=name)
        service.start()
        service.wait_ready(quiet_s=20)
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
