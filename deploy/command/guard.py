"""What the proofs and the other commands of operators share: exit codes, the topic, and refusals as one clear line."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from ddl.errors import MigrationError
from deploy.command import screen
from deploy.errors import DeployError, ProofError
from deploy.infrastructure import Infrastructure
from stream_workers.batch import Topic
from stream_workers.errors import WorkerError
from stream_workers.topic import find_topic

EXIT_DIFFERENT: Final = 1
EXIT_COULD_NOT: Final = 2
TopicName = Annotated[str, typer.Option("--topic", envvar="AGENTTRACER_TOPIC", help="The topic's name.")]
_T = TypeVar("_T")


def outcome_of(work: Coroutine[Any, Any, _T]) -> _T:
    """What came of it; exit code 2 when nothing did, since Python's own 1 would say that the store differs."""
    try:
        return asyncio.run(work)
    except DeployError as error:
        screen.show_error(str(error))
    except Exception as error:  # noqa: BLE001 - a traceback could show values of rows
        screen.show_error(f"{screen.fault(error)}; nothing is known of the store")
    raise typer.Exit(EXIT_COULD_NOT)


async def found_topic(infrastructure: Infrastructure, topic: str) -> Topic:
    """The topic and its id. Raises ProofError where there is none."""
    found = await find_topic(infrastructure.kafka_bootstrap, topic, **infrastructure.kafka_security.aiokafka_arguments())
    if found is None:
        raise ProofError(f"Kafka has no topic {topic}; name another with --topic")
    return found


async def refusals(infrastructure: Infrastructure, work: Callable[[], Awaitable[_T]]) -> _T:
    """What can stand in the way, as one clear line."""
    try:
        return await work()
    except (WorkerError, MigrationError) as error:
        raise ProofError(str(error)) from None
    except KafkaError as error:
        where = infrastructure.kafka_bootstrap
        raise ProofError(f"Kafka at {where} does not answer ({type(error).__name__}); is it running there?") from None
    except asyncpg.PostgresError as error:  # its text can hold values of rows
        raise ProofError(f"PostgreSQL refused with SQLSTATE {error.sqlstate}; is the schema migrated?") from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise ProofError(f"a server cannot be reached ({type(error).__name__}); is it running, is the URL right?") from None
