"""What this command is told of how to reach a Kafka that does not trust everybody. The services have settings of their own."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from servicekit.kafka import KafkaSecurity


class KafkaAccess(BaseSettings):
    """Settings of the `agenttracer` command: environment variables `AGENTTRACER_KAFKA_SECURITY__…`."""

    model_config = SettingsConfigDict(env_prefix="AGENTTRACER_", env_nested_delimiter="__", frozen=True, extra="ignore")

    kafka_security: KafkaSecurity = KafkaSecurity()
    """Plaintext, which fits a broker on loopback and nothing else. For an existing Kafka; the local one is always plaintext."""
