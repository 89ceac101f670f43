"""Shared by the subcommands for operators: exit codes, the topic, and errors as one clear line."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from agenttracer_cli import output
from agenttracer_cli.errors import DeployError, ProofError
from agenttracer_cli.local.infrastructure import Infrastructure
from ddl.errors import MigrationError
from servicekit.postgres import explain
from stream_workers.errors import WorkerError
from stream_workers.kafka.topic_identity import find_topic
from stream_workers.store.batch import Topic

EXIT_DIFFERENT: Final = 1
EXIT_COULD_NOT: Final = 2
TopicName = Annotated[str, typer.Option("--topic", envvar="AGENTTRACER_TOPIC", metavar="NAME", help="The topic's name.")]
_T = TypeVar("_T")


def run_or_exit(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of the work. On an error, ends with exit code 2: Python's own 1 would say that the store differs."""
    try:
        return asyncio.run(work)
    except DeployError as error:
        output.show_error(str(error))
    except Exception as error:  # noqa: BLE001 - a traceback could show values of rows
        output.show_error(f"{output.describe_fault(error)}; nothing is known of the store")
    raise typer.Exit(EXIT_COULD_NOT)


async def require_topic(infrastructure: Infrastructure, topic: str) -> Topic:
    """The topic and its id. Raises ProofError where there is none."""
    found = await find_topic(infrastructure.kafka_bootstrap, topic, **infrastructure.kafka_security.aiokafka_arguments())
    if found is None:
        raise ProofError(f"Kafka has no topic {topic}; name another with --topic")
    return found


async def as_proof_errors(infrastructure: Infrastructure, work: Callable[[], Awaitable[_T]]) -> _T:
    """Do the work. Raises ProofError, one clear line, for every error of the store, of Kafka and of the network."""
    try:
        return await work()
    except (WorkerError, MigrationError) as error:
        raise ProofError(str(error)) from None
    except KafkaError as error:
        where = infrastructure.kafka_bootstrap
        raise ProofError(f"Kafka at {where} does not answer ({type(error).__name__}); is it running there?") from None
    except asyncpg.PostgresError as error:
        raise ProofError(explain(error)) from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise ProofError(f"a server cannot be reached ({type(error).__name__}); is it running, is the URL right?") from None
