"""Addresses are refused by rule; what they hold is never repeated."""

import pytest

from agenttracer_cli.errors import SettingsError
from agenttracer_cli.local.addresses import kafka_bootstrap, postgres_url, shown

PASSWORD = "hunter2"


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://owner:{PASSWORD}@db:5432/x",
        f"postgres://owner:{PASSWORD}%2F%23%40@db/x?sslmode=require",
        f"postgresql://owner:{PASSWORD}@x@db/x",  # the last @ ends the password
        "postgresql://db-1:5432,db-2:5433/x",
        "postgresql://[::1]:5432/x",
        "postgresql://owner@%2Frun%2Fpostgresql/x",
        "postgresql:///x?host=/run/postgresql",
    ],
)
def test_addresses_of_postgres_pass_as_they_are(address: str) -> None:
    """What the client takes is not refused before it."""
    assert postgres_url(address, name="--postgres") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "db",
        "host=db password=hunter2",
        f"mysql://owner:{PASSWORD}@db/x",
        f"postgresql:owner:{PASSWORD}@db/x",
        f"postgresql://owner:{PASSWORD}/#1@db/x",
        f"postgresql://owner:{PASSWORD}/@db/x",
        f"postgresql://owner:12/{PASSWORD}@db/x",
        f"postgresql://owner:12?{PASSWORD}@db/x",
        f"postgresql://owner:12#{PASSWORD}@db/x",
        f"postgresql://owner:[{PASSWORD}@db/x",
        f"postgresql://owner:{PASSWORD} @db/x",
        f"postgresql://owner:{PASSWORD}@db:port/x",
        f"postgresql://owner:{PASSWORD}@db:0/x",
        f"postgresql://owner:{PASSWORD}@db:65536/x",
        f"postgresql://owner:{PASSWORD}@db/x/y",
    ],
)
def test_what_is_no_address_of_postgres_is_refused_without_being_shown(address: str) -> None:
    """The line says which option, and what to encode."""
    with pytest.raises(SettingsError, match=r"^--postgres: .*percent-encode") as refused:
        postgres_url(address, name="--postgres")
    assert PASSWORD not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("address", ["h", "h:1", "a:9092,b:9092", "a:1, b:2", "[::1]:9092", "127.0.0.1:65535"])
def test_addresses_of_kafka_pass_as_they_are(address: str) -> None:
    """One or several, with a port or with Kafka's usual one."""
    assert kafka_bootstrap(address, name="--kafka") == address


@pytest.mark.parametrize("address", ["", "h:", "h:0", "h:65536", "h:x", "h:1,", "user:hunter2@h:1", "SSL://h:1", "h 1", "h:1/x"])
def test_what_is_no_address_of_kafka_is_refused_without_being_shown(address: str) -> None:
    """Ports that do not exist among them."""
    with pytest.raises(SettingsError, match=r"^--kafka: .*HOST:PORT") as refused:
        kafka_bootstrap(address, name="--kafka")
    assert not address or f"{address!r}" not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_what_is_shown_of_an_address_has_no_password() -> None:
    """Every host with its port, and the database."""
    assert shown(f"postgresql://o:{PASSWORD}@db-1,db-2:6000/x?sslmode=require", usual_port=5432) == "db-1:5432,db-2:6000/x"
    assert shown("postgresql://[::1]/x", usual_port=5432) == "[::1]:5432/x"
