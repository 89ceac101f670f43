"""Real Apache Kafka and PostgreSQL on loopback, without Docker. Only the public names stand here."""

from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.postgres.server import PostgresServer
from agenttracer_cli.local_stack.stack import Endpoints, LocalStack

__all__ = ["Endpoints", "KafkaServer", "LocalStack", "PostgresServer"]
