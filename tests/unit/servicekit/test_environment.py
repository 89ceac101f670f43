"""Variables that no setting reads."""

import pytest
from pydantic_settings import BaseSettings

from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from servicekit.environment import UnknownVariable, misspelt, unknown_to_service, variables_of
from servicekit.load_settings import read_settings
from stream_workers.settings import WorkerSettings

KINDS = (GatewaySettings, QuerySettings, WorkerSettings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_knows_every_setting_of_its_own(kind: type[BaseSettings]) -> None:
    """Parts of settings too, in any case of letters, as pydantic reads them."""
    known = variables_of(kind)
    assert list(unknown_to_service(kind, [*known, *(name.lower() for name in known)])) == []
    assert any("__" in name for name in known)


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_tolerates_the_variables_of_others(kind: type[BaseSettings]) -> None:
    """All processes of a machine may share one environment: other services, the command, the SDK, other software."""
    others = [name for other in KINDS if other is not kind for name in variables_of(other)]
    command = ["KAFKA_BOOTSTRAP", "KAFKA_SECURITY__PROTOCOL", "KEY_PEPPER", "POSTGRES_DSN", "STATE_DIR", "TOPIC", "WORKERS"]
    sdk = ["API_URL", "API_KEY", "QUEUE_MAX_EVENTS", "SPOOL_DIR", "REQUEST_TIMEOUT_S"]
    environ = [*others, *(f"AGENTTRACER_{name}" for name in (*command, *sdk)), "PATH", "HOME", "QUERY_PORT"]
    assert list(unknown_to_service(kind, environ)) == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AGENTTRACER_QUERY_PROT", "AGENTTRACER_QUERY_PORT"),
        ("AGENTTRACER_QUERY_ANONYMOUS_PROJEKT", "AGENTTRACER_QUERY_ANONYMOUS_PROJECT"),
        ("AGENTTRACER_QUERY_TLS_CERT_FILE", "AGENTTRACER_QUERY_TLS__CERT_FILE"),
        ("AGENTTRACER_QUERRY_PORT", "AGENTTRACER_QUERY_PORT"),
        ("AGENTTRACER_QUERY_PORT_8000_TCP", None),
        ("AGENTTRACER_QUERY_SERVICE_HOST", None),
    ],
)
def test_the_nearest_setting_is_named(name: str, nearest: str | None) -> None:
    """What Kubernetes sets for a service called agenttracer-query is like no setting."""
    assert list(unknown_to_service(QuerySettings, [name])) == [UnknownVariable(name, nearest)]


def test_a_variable_like_no_setting_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The service starts: another release, or an orchestrator, may have made it. No value is shown."""
    monkeypatch.setenv("AGENTTRACER_QUERY_SERVICE_HOST", "hush")
    read_settings(QuerySettings)
    assert capsys.readouterr().err == "warning: AGENTTRACER_QUERY_SERVICE_HOST is not a setting, and has no effect\n"


def test_a_misspelt_name_is_found_among_all_known_ones() -> None:
    """Names that are like none are left alone."""
    known = {"AGENTTRACER_STATE_DIR", "AGENTTRACER_API_URL"}
    environ = ["AGENTTRACER_STATEDIR", "AGENTTRACER_API_URL", "AGENTTRACER_COLOUR", "STATE_DIR"]
    assert list(misspelt(known, environ)) == [UnknownVariable("AGENTTRACER_STATEDIR", "AGENTTRACER_STATE_DIR")]
