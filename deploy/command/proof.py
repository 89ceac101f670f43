"""The subcommands by which operators prove what the store holds: `agenttracer verify`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer
from aiokafka.errors import KafkaError

from agenttracer.wire.topics import EVENTS_TOPIC
from deploy.command import screen
from deploy.command.options import Kafka, Postgres, StateDir
from deploy.command.proof_screen import Bar, show_verification
from deploy.errors import DeployError, ProofError
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.errors import LogOvertakenError
from stream_workers.topic import find_topic
from stream_workers.topic_log import open_log
from stream_workers.verify import Report, Scope, verify

EXIT_DIFFERENT: Final = 1
EXIT_COULD_NOT: Final = 2
MEMORY_DEFAULT_MB: Final = 512  # a small machine has it to spare, and 32 MB of the topic fit into a slice
TopicName = Annotated[str, typer.Option("--topic", envvar="AGENTTRACER_TOPIC", help="The topic's name.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was found as JSON, too.")]


def verify_store(
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the runs; the same ones every time.")] = 1.0,
    run: Annotated[str | None, typer.Option(metavar="RUN_ID", help="One run only.")] = None,
    memory_mb: Annotated[
        int, typer.Option(envvar="AGENTTRACER_VERIFY_MEMORY_MB", min=16, help="Rows held at once; the rest waits on disk.")
    ] = MEMORY_DEFAULT_MB,
    json_file: JsonFile = None,
) -> None:
    """Prove that the store is what the topic says.

    Exit code: 0 equal, 1 different, 2 could not be found out. What the workers have not reached yet is no difference.
    """
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=screen.Progress())
    try:
        report = asyncio.run(
            _verify(infrastructure, topic, scope=Scope(sample, run.lower() if run else None), memory_bytes=memory_mb << 20)
        )
    except DeployError as error:
        screen.show_error(str(error))
        raise typer.Exit(EXIT_COULD_NOT) from None
    except Exception as error:  # noqa: BLE001 - Python's own exit code would say that the store differs
        screen.show_error(f"a fault of our own ({type(error).__name__}); nothing is known of the store")
        raise typer.Exit(EXIT_COULD_NOT) from None
    show_verification(report)
    if json_file is not None:
        json_file.write_text(json.dumps(report.document(), indent=2) + "\n", encoding="utf-8")
    if not report.equal:
        raise typer.Exit(EXIT_DIFFERENT)


async def _verify(infrastructure: Infrastructure, topic: str, *, scope: Scope, memory_bytes: int) -> Report:
    bootstrap = infrastructure.kafka_bootstrap
    try:
        found = await find_topic(bootstrap, topic)
        if found is None:
            raise ProofError(f"Kafka has no topic {topic}; name another with --topic")
        async with open_log(bootstrap, topic) as log:
            with Bar() as bar:
                return await verify(infrastructure.owner_dsn, log, found, scope=scope, memory_bytes=memory_bytes, progress=bar)
    except LogOvertakenError as error:
        raise ProofError(str(error)) from None
    except KafkaError as error:
        raise ProofError(f"Kafka at {bootstrap} does not answer ({type(error).__name__}); is it running there?") from None
    except asyncpg.PostgresError as error:  # its text can hold values of rows
        raise ProofError(f"PostgreSQL refused with SQLSTATE {error.sqlstate}; is the schema migrated?") from None
    except (OSError, asyncpg.InterfaceError) as error:
        raise ProofError(f"a server cannot be reached ({type(error).__name__}); is it running, is the URL right?") from None
