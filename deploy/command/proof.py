"""The subcommands by which operators prove what the store holds: `agenttracer verify` and `agenttracer rebuild`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import asyncpg
import typer
from aiokafka.errors import KafkaError

from agenttracer.wire.topics import EVENTS_TOPIC
from ddl.errors import MigrationError
from deploy.command import screen
from deploy.command.options import Kafka, Postgres, StateDir
from deploy.command.proof_screen import Bar, show_rebuild, show_verification
from deploy.errors import DeployError, ProofError
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.batch import Topic
from stream_workers.errors import WorkerError
from stream_workers.rebuild import Outcome, Plan, drop_old, rebuild
from stream_workers.topic import find_topic
from stream_workers.topic_log import open_log
from stream_workers.verify import Report, Scope, verify

EXIT_DIFFERENT: Final = 1
EXIT_COULD_NOT: Final = 2
MEMORY_DEFAULT_MB: Final = 512  # a small machine has it to spare, and 32 MB of the topic fit into a slice
TopicName = Annotated[str, typer.Option("--topic", envvar="AGENTTRACER_TOPIC", help="The topic's name.")]
_T = TypeVar("_T")
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
    scope = Scope(sample, run.lower() if run else None)
    report = _outcome(_verify(infrastructure, topic, scope=scope, memory_bytes=memory_mb << 20))
    show_verification(report)
    if json_file is not None:
        json_file.write_text(json.dumps(report.document(), indent=2) + "\n", encoding="utf-8")
    if not report.equal:
        raise typer.Exit(EXIT_DIFFERENT)


rebuild_app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")


@rebuild_app.callback()
def rebuild_store(
    *,
    context: typer.Context,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    processes: Annotated[int, typer.Option(min=1, max=64, help="They divide the partitions.")] = 1,
    max_events_per_s: Annotated[float | None, typer.Option(min=1, help="Hold back, for the live store's sake.")] = None,
    swap: Annotated[bool, typer.Option(help="Make the shadow live once it is proved equal.")] = True,
    accept_differences: Annotated[bool, typer.Option("--accept-differences", help="Swap although rows differ.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget a rebuild that was begun.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Build the store anew from the topic, under live traffic, compare it with the live one, swap the two.

    Killed anywhere, the next call goes on. Exit code: 0 equal (and swapped), 1 different or not swapped, 2 could not.
    """
    if context.invoked_subcommand is not None:
        return
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=screen.Progress())
    pace = Pace(processes, max_events_per_s)
    wish = Wish(restart=restart, swap_equal=swap, accept=accept_differences)
    outcome = _outcome(_rebuild(infrastructure, topic, pace, wish))
    show_rebuild(outcome)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")
    if (swap and outcome.pause_s is None) or not (outcome.diff.empty or accept_differences):
        raise typer.Exit(EXIT_DIFFERENT)


@rebuild_app.command("drop-old")
def drop_old_store(state_dir: StateDir, postgres: Postgres = None) -> None:
    """Drop what was live before the last swap."""
    infrastructure = Infrastructure(state_dir, existing=Existing(postgres_dsn=postgres), report=screen.Progress())
    dropped = _outcome(_refusals(infrastructure, lambda: drop_old(infrastructure.owner_dsn)))
    screen.Progress()("the old schema is gone" if dropped else "there was no old schema")


class Pace(NamedTuple):
    """How much of the machine a rebuild may take."""

    processes: int
    max_events_per_s: float | None


class Wish(NamedTuple):
    """What is to become of the shadow."""

    restart: bool
    swap_equal: bool
    accept: bool


def _outcome(work: Coroutine[Any, Any, _T]) -> _T:
    """What came of it; exit code 2 when nothing did, since Python's own 1 would say that the store differs."""
    try:
        return asyncio.run(work)
    except DeployError as error:
        screen.show_error(str(error))
    except Exception as error:  # noqa: BLE001 - a traceback could show values of rows
        screen.show_error(f"a fault of our own ({type(error).__name__}); nothing is known of the store")
    raise typer.Exit(EXIT_COULD_NOT)


async def _verify(infrastructure: Infrastructure, topic: str, *, scope: Scope, memory_bytes: int) -> Report:
    async def work() -> Report:
        found = await _found(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic) as log:
            with Bar() as bar:
                return await verify(infrastructure.owner_dsn, log, found, scope=scope, memory_bytes=memory_bytes, progress=bar)

    return await _refusals(infrastructure, work)


async def _rebuild(infrastructure: Infrastructure, topic: str, pace: Pace, wish: Wish) -> Outcome:
    async def work() -> Outcome:
        found = await _found(infrastructure, topic)
        plan = Plan(infrastructure.owner_dsn, infrastructure.kafka_bootstrap, found, *pace)
        with Bar() as bar:
            return await rebuild(plan, report=screen.Progress(), progress=bar, **wish._asdict())

    return await _refusals(infrastructure, work)


async def _found(infrastructure: Infrastructure, topic: str) -> Topic:
    found = await find_topic(infrastructure.kafka_bootstrap, topic)
    if found is None:
        raise ProofError(f"Kafka has no topic {topic}; name another with --topic")
    return found


async def _refusals(infrastructure: Infrastructure, work: Callable[[], Awaitable[_T]]) -> _T:
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
