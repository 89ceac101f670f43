"""Settings: from the environment, frozen, and sound together."""

from typing import Any

import pytest
from pydantic import ValidationError

from producer_gateway.settings import GatewaySettings
from servicekit.kafka import KafkaSecurity


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from prefixed variables, nested ones by a double underscore; secrets do not print."""
    monkeypatch.setenv("AGENTTRACER_GATEWAY_PORT", "9000")
    monkeypatch.setenv("AGENTTRACER_GATEWAY_KAFKA_SECURITY__PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("AGENTTRACER_GATEWAY_KAFKA_SECURITY__USERNAME", "gateway")
    monkeypatch.setenv("AGENTTRACER_GATEWAY_KAFKA_SECURITY__PASSWORD", "pw-4711")
    settings = GatewaySettings()
    assert settings.port == 9000
    assert settings.kafka_security.aiokafka_arguments() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "gateway",
        "sasl_plain_password": "pw-4711",
    }
    assert "pw-4711" not in repr(settings)


def test_defaults_reach_no_further_than_this_machine() -> None:
    """Ingest without keys listens on loopback unless told otherwise."""
    assert GatewaySettings().host == "127.0.0.1"


def test_frozen() -> None:
    """Nothing changes settings after the start."""
    with pytest.raises(ValidationError):
        GatewaySettings().port = 1  # type: ignore[misc]  # that it cannot be assigned is the point


@pytest.mark.parametrize(
    "wrong",
    [
        {"receive_timeout_s": 5.0, "request_deadline_s": 5.0},
        {"request_deadline_s": 10.0, "drain_timeout_s": 10, "replace_after_s": 10.0},
        {"request_deadline_s": 5.5, "drain_timeout_s": 5},
        {"otlp_receive_timeout_s": 9.0},
        {"otlp_request_deadline_s": 10.5},
        {"processes": 2},
        {"keys_refresh_s": 10.1},
        {"events_max": 5_001},
        {"record_max_bytes": 9 * 1024 * 1024},
        {"anonymous_project": "two words"},
        {"anonymous_project": "default", "host": "0.0.0.0"},
        {"postgres_dsn": "postgresql://db"},
        {"postgres_dsn": "postgresql://db", "key_pepper": "short"},
    ],
)
def test_unsound(wrong: dict[str, Any]) -> None:
    """Settings that contradict each other or the contract are refused at start."""
    with pytest.raises(ValidationError):
        GatewaySettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replace_after_s": 5.0}, "replace_after_s must be above request_deadline_s"),
        ({"drain_timeout_s": 4}, "drain_timeout_s must not be below request_deadline_s"),
    ],
)
def test_contradiction(wrong: dict[str, Any], said: str) -> None:
    """Which two contradict each other is said, and no value."""
    with pytest.raises(ValidationError, match=said):
        GatewaySettings(**wrong)


@pytest.mark.parametrize("wrong", [{"protocol": "SASL_SSL"}, {"cert_file": "/c"}, {"protocol": "TLS"}])
def test_incomplete_security(wrong: dict[str, Any]) -> None:
    """Half of a way to connect is refused at start."""
    with pytest.raises(ValidationError):
        KafkaSecurity(**wrong)
