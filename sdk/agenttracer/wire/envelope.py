"""The envelopes of events: the batch that a producer posts, the record in the topic, and the rules of versions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agenttracer.wire.events import Event, Name, RequiredName, TimeUs
from agenttracer.wire.form import VERSION_PATTERN

_VERSION: Final = re.compile(VERSION_PATTERN)
VERSION: Final = "1.1"
SUPPORTED: Final = "1.x"
BATCH_MAX_EVENTS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """The source of events: one tracer in one process. `id` is random and new in every process."""

    id: Name
    agent: RequiredName
    agent_version: RequiredName
    sdk: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The body of `POST /v1/events`: events of any number of runs of one producer."""

    v: str
    producer: Producer
    events: Sequence[Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The value of one Kafka message: the events of **one** run out of one batch. `received_at` is the gateway's clock, in us."""

    v: str
    project: Name
    producer: Producer
    received_at: TimeUs
    events: Sequence[Event]


def supports(version: str) -> bool:
    """Whether this reader may read `version`: any minor version of major version 1."""
    return _VERSION.fullmatch(version) is not None and version.startswith("1.")
