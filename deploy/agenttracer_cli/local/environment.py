"""Every `AGENTTRACER_*` variable that anything of this release reads, so that the command can point out misspelt ones."""

import os
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Final

from agenttracer._config import Config
from agenttracer_cli.local.kafka_access import KafkaAccess
from agenttracer_cli.local_stack.kafka.jars import CACHE_VARIABLE
from agenttracer_cli.local_stack.kafka.java import JAVA_VARIABLE
from agenttracer_cli.local_stack.process_table import NAME_VARIABLE, OWNER_VARIABLE
from agenttracer_cli.local_stack.start_deadline import START_LIMIT_VARIABLE
from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from servicekit.environment import PREFIX, misspelt, variables_of
from stream_workers.settings import WorkerSettings

_SETTINGS: Final = (GatewaySettings, QuerySettings, WorkerSettings, KafkaAccess)
_OTHERS: Final = frozenset(
    {
        CACHE_VARIABLE,
        JAVA_VARIABLE,
        NAME_VARIABLE,
        OWNER_VARIABLE,
        START_LIMIT_VARIABLE,
        f"{PREFIX}KEY_PEPPER",
        f"{PREFIX}KEY_PEPPER_FORMER",
    }
)


def known_variables(of_options: Iterable[str]) -> frozenset[str]:
    """All variables that have a meaning: the settings of every service, of the SDK and of the command, and its options'."""
    of_sdk = {PREFIX + field.name.upper() for field in fields(Config)}
    return _OTHERS.union(of_options, of_sdk, *(variables_of(kind) for kind in _SETTINGS))


def misspelt_variables(known: Collection[str]) -> list[str]:
    """One line for each variable of the environment that is like a known one but is none. No value is read."""
    return [f"{name} is not a setting; did you mean {nearest}?" for name, nearest in misspelt(known, os.environ)]
