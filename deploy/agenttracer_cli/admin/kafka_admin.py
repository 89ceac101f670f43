"""Reads and changes topics through aiokafka's admin client, with errors that say what to do. `topics` decides their settings."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from agenttracer_cli.errors import TopicError
from servicekit.kafka import KafkaSecurity

_APPEARS_WITHIN_S = 15.0
_POLL_S = 0.1
_SET_ON_TOPIC = 1  # DescribeConfigs: the value was set on this topic, not inherited


@dataclass(frozen=True)
class FoundTopic:
    """A topic as it is."""

    name: str
    partitions: int
    replication_factor: int  # the smallest of its partitions


class TopicAdmin:
    """Topics of one cluster."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  aiokafka is not typed for strict use
        self._client = client

    async def broker_count(self) -> int:
        """Count the live brokers."""
        return len((await self._client.describe_cluster())["brokers"])

    async def find(self, name: str) -> FoundTopic | None:
        """Give the topic; None if there is none. Asks for all topics, since asking for one by name may create it."""
        described = [
            topic for topic in await self._client.describe_topics() if topic["topic"] == name and not topic["error_code"]
        ]
        if not described:
            return None
        partitions = described[0]["partitions"]
        return FoundTopic(name, len(partitions), min(len(partition["replicas"]) for partition in partitions))

    async def appeared(self, name: str) -> FoundTopic:
        """Give a topic that another client may be creating at this moment."""
        deadline = time.monotonic() + _APPEARS_WITHIN_S
        while (found := await self.find(name)) is None:
            if time.monotonic() > deadline:
                raise TopicError(f"Kafka says that {name} exists, but does not list it; see the brokers' logs")
            await asyncio.sleep(_POLL_S)
        return found

    async def create(self, name: str, *, partitions: int, replication_factor: int, settings: dict[str, str]) -> bool:
        """Create the topic and wait until it can be seen; False if another client was first."""
        topic = NewTopic(name, partitions, replication_factor, topic_configs=settings)
        answer = await self._client.create_topics([topic])
        _, code, message = answer.topic_errors[0][:3]
        if for_code(code) is TopicAlreadyExistsError:
            return False
        if code:
            raise TopicError(f"Kafka refused to create {name} ({for_code(code).__name__}: {message}); adapt the options")
        await self.appeared(name)
        return True

    async def settings(self, name: str) -> dict[str, str]:
        """Give every setting in force."""
        return {entry[0]: entry[1] for entry in await self._entries(name)}

    async def change_settings(self, name: str, changes: dict[str, str]) -> None:
        """Change some settings and keep the others: the request replaces all that were set on the topic, so those go along."""
        kept = {entry[0]: entry[1] for entry in await self._entries(name) if entry[3] == _SET_ON_TOPIC}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {**kept, **changes})
        for answer in await self._client.alter_configs([resource]):
            for code, message, *_ in answer.resources:
                if code:
                    raise TopicError(
                        f"Kafka refused settings of {name} ({for_code(code).__name__}: {message}); ask its administrator"
                    )

    async def _entries(self, name: str) -> list[Any]:
        answers = await self._client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        code, message, _, _, entries = answers[0].resources[0]
        if code:
            raise TopicError(f"Kafka does not show the settings of {name} ({for_code(code).__name__}: {message})")
        return list(entries)


@asynccontextmanager
async def topic_admin(bootstrap: str, security: KafkaSecurity) -> AsyncIterator[TopicAdmin]:
    """Connect to the cluster for the length of the block. Raises TopicError if it cannot be reached."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="agenttracer-topics", **security.aiokafka_arguments())
    try:
        await client.start()
        yield TopicAdmin(client)
    except KafkaError as error:
        raise TopicError(f"Kafka at {bootstrap} does not answer ({type(error).__name__}); is it running there?") from error
    finally:
        await client.close()
