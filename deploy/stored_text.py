"""Which columns of the store can hold text, and what that is: the data dictionary's part about tables.

A column counts as text unless its type is known to hold none, so a new type is text until somebody has looked at it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import ddl

_SCHEMA: Final = Path(ddl.__file__).parent / "schema.sql"
_TABLE: Final = re.compile(r"^CREATE TABLE agenttracer\.(\w+) \(\n(.*?)^\)", re.DOTALL | re.MULTILINE)
_COLUMN: Final = re.compile(r"^    ([a-z_]+) ([a-z0-9]+)", re.MULTILINE)
_NO_TEXT: Final = frozenset({"boolean", "smallint", "integer", "bigint", "timestamp", "int4multirange", "int8multirange"})
FIELDS: Final[Mapping[str, str]] = {
    "project": "Record.project",
    "run_id": "RunStarted.run_id",
    "parent_run_id": "RunStarted.parent_run_id",
    "step_id": "StepFinished.step_id",
    "parent_step_id": "StepFinished.parent_step_id",
    "cause_step_id": "StepFinished.cause_step_id",
    "failure_id": "FailureRecorded.failure_id",
    "producer": "Producer.id",
    "agent": "Producer.agent",
    "agent_version": "Producer.agent_version",
    "kind": "StepFinished.kind",
    "name": "StepFinished.name",
    "status": "StepFinished.status",
    "end_status": "RunFinished.status",
    "failure_type": "FailureRecorded.failure_type",
    "failure_code": "FailureRecorded.failure_code",
    "caused_by": "FailureRecorded.failure_id",
    "root_failure_id": "FailureRecorded.failure_id",
    "root_failure_type": "FailureRecorded.failure_type",
    "root_failure_code": "FailureRecorded.failure_code",
    "message_fingerprint": "FailureRecorded.message_fingerprint",
    "error_class": "Evidence.error_class",
    "error_code": "Evidence.error_code",
    "reason": "EventsDropped.reason",
    "metadata": "StepFinished.metadata",
}
"""By column: the field of the contract that it holds as it came."""
_TOPIC: Final = "the name or id of the topic, from Kafka and our settings"
OTHERS: Final[Mapping[str, str]] = {
    "runs.status": "`RunFinished.status`, or `running`",
    "run_rollups.status": "`RunFinished.status`, or `running`",
    "runs.metadata": "`RunStarted.metadata`",
    "runs.shape": "16 hex digits of a hash of the steps' kinds and names",
    "failures.outcome": "a closed set of our own words",
    "failures.fingerprint": "16 hex digits of a hash of agent, steps' kinds and names, and the failure's type, code and class",
    "failures.rule_id": "the name of the rule that found it, ours",
    "api_keys.key_id": "the public part of an API key, random",
    "api_keys.scopes": "a closed set of our own words",
    "api_keys.name": "a name that the operator gave a key",
    "api_keys.secret_hash": "of the key's secret part, random, under the operator's pepper",
    "api_keys.pepper_id": "which pepper that was",
    "dead_letters.topic_id": _TOPIC,
    "dead_letters.topic": _TOPIC,
    "dead_letters.reason": "the rule of the contract that the record breaks, ours",
    "dead_letters.field": "the path of the member at fault, of the contract's own words and numbers; never the sender's",
    "dead_letters.keyed_hash": "128 bits of the record's hash under a key of the operator's; empty without one",
    "ingest_ledger.topic_id": _TOPIC,
    "ingest_ledger.topic": _TOPIC,
    "ingest_ledger.owner": "which worker has the partition: its instance as the operator named it, else 12 random hex digits",
    "schema_migrations.name": "the name of a file of ours",
    "schema_migrations.checksum": "of a file of ours",
}
"""By table and column: what is ours, and what a column's name alone would say wrongly."""


def section() -> str:
    """The page's last part."""
    rows = [f"| `{table}.{column}` | {kind} | {held(table, column)} |" for table, column, kind in text_columns()]
    head = """## Columns that can hold text

Of every table of the store, by `ddl/schema.sql`. All other columns are numbers and times.

| column | type | holds |
|---|---|---|"""
    return "\n".join([head, *rows, ""])


def held(table: str, column: str) -> str:
    """What a column holds. Raises LookupError for one that nobody has thought about."""
    other = OTHERS.get(f"{table}.{column}")
    return other or f"`{FIELDS[column]}`"


def text_columns(schema: str | None = None) -> Iterator[tuple[str, str, str]]:
    """Table, column and type. Partitions are tables like their parents and left out."""
    for table in _TABLE.finditer(schema or _SCHEMA.read_text(encoding="utf-8")):
        if table[1] == "steps_default":
            continue
        for column in _COLUMN.finditer(table[2]):
            if column[2] not in _NO_TEXT:
                yield table[1], column[1], column[2]
