from pathlib import Path

from agenttracer_cli.local_stack.kafka.config import log4j2_properties, server_properties
from agenttracer_cli.local_stack.postgres.config import pg_hba_conf, postgresql_conf


def kafka(password: str | None = None) -> dict[str, str]:
    text = server_properties(port=1111, controller_port=2222, data=Path("/data"), password=password)
    return dict(line.split("=", 1) for line in text.splitlines())


def test_kafka_listens_on_loopback_only() -> None:
    """Every address in the configuration is 127.0.0.1."""
    settings = kafka()
    assert settings["listeners"] == "CLIENT://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
    assert settings["advertised.listeners"] == "CLIENT://127.0.0.1:1111"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:2222"


def test_both_ports_of_a_protected_kafka_ask_for_the_password() -> None:
    """Clients and the controller's: whoever reaches the one reaches the other."""
    settings = kafka("hunter2")
    assert settings["listener.security.protocol.map"] == "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
    for listener in ("client", "controller"):
        assert 'user_agenttracer="hunter2"' in settings[f"listener.name.{listener}.plain.sasl.jaas.config"]
    assert "PLAINTEXT" in kafka()["listener.security.protocol.map"]


def test_kafka_makes_no_topic_by_accident_and_keeps_no_group_waiting() -> None:
    """Topics are made by `agenttracer topics`; a group gets its first assignment at once."""
    settings = kafka()
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert settings["offsets.topic.replication.factor"] == "1"


def test_kafka_logs_warnings_only() -> None:
    """The root level is warn."""
    assert "rootLogger.level=warn\n" in log4j2_properties()


def test_postgres_is_durable_and_on_loopback_only() -> None:
    """No crash loses a commit, nobody connects from outside or without a password."""
    conf = postgresql_conf(port=3333)
    for setting in (
        "fsync = 'on'",
        "synchronous_commit = 'on'",
        "listen_addresses = '127.0.0.1'",
        "unix_socket_directories = ''",
    ):
        assert setting in conf
    assert pg_hba_conf() == "host all all 127.0.0.1/32 scram-sha-256\n"


def test_postgres_never_logs_a_statement_a_parameter_or_an_errors_text() -> None:
    """Errors are not logged at all, since their text can hold values of rows."""
    conf = postgresql_conf(port=3333)
    for setting in (
        "log_min_messages = 'log'",
        "log_min_error_statement = 'panic'",
        "log_parameter_max_length_on_error = '0'",
        "log_error_verbosity = 'terse'",
        "log_statement = 'none'",
    ):
        assert setting in conf
