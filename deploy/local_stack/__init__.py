"""Real Apache Kafka and PostgreSQL on loopback, without Docker. Only the public names stand here."""

from deploy.local_stack.kafka import KafkaServer
from deploy.local_stack.postgres import PostgresServer
from deploy.local_stack.stack import Endpoints, LocalStack

__all__ = ["Endpoints", "KafkaServer", "LocalStack", "PostgresServer"]
