"""The data dictionary's part about tables: which columns of the store can hold text, and which text.

A column counts as text unless its type is known to hold none, so a new type is text until it is added here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import ddl

_SCHEMA: Final = Path(ddl.__file__).parent / "schema.sql"
_TABLE: Final = re.compile(r"^CREATE TABLE agenttracer\.(\w+) \(\n(.*?)^\)", re.DOTALL | re.MULTILINE)
_COLUMN: Final = re.compile(r"^    ([a-z_]+) ([a-z0-9]+)", re.MULTILINE)
_NO_TEXT: Final = frozenset(
    {"boolean", "smallint", "integer", "bigint", "numeric", "timestamp", "int4multirange", "int8multirange"}
)
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
    "work_digest": "StepFinished.work_digest",
    "returned_code": "ReturnedError.code",
    "returned_error_class": "ReturnedError.error_class",
    "own_agent": "AgentExecution.name",
    "own_agent_version": "AgentExecution.version",
    "own_end_reason": "AgentExecution.end_reason",
    "session_digest": "StepFinished.session_digest",
    "cost_currency": "Cost.currency",
    "declared_kind": "RunStarted.kind",
    "end_reason": "RunFinished.end_reason",
}
"""By column: the field of the contract that it holds as it came."""
_TOPIC: Final = "the name or id of the topic, from Kafka and our settings"
OTHERS: Final[Mapping[str, str]] = {
    "runs.status": "`RunFinished.status`, or `running`",
    **{f"run_{table}.status": "`RunFinished.status`, or `running`" for table in ("rollups", "rollup_deltas", "rollup_totals")},
    **{
        f"{kind}_rollup_{table}.histogram": "numbers: latency buckets and their counts, ten bytes each"
        for kind in ("run", "step")
        for table in ("deltas", "totals")
    },
    **{
        f"step_rollup_{table}.model": "a label: `StepFinished.metadata`, key `model`; else empty"
        for table in ("deltas", "totals")
    },
    "steps.model": "a label: `StepFinished.metadata`, key `model`",
    "runs.session_digest": "`RunStarted.session_digest` or `StepFinished.session_digest`",
    "runs.end_reason": "`RunFinished.end_reason` or `AgentExecution.end_reason`",
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
    "audit_log.entry": "an id of ours, made of the time and random bits",
    "audit_log.action": "a closed set of our own words",
    "audit_log.project": "the project of a key, run or retention",
    "audit_log.key_id": "the public part of an API key, random",
    "audit_log.run_id": "the run that was deleted",
    "audit_log.reason": "why a key was refused: a closed set of our own words",
    "audit_log.role": "the role of PostgreSQL that wrote it",
    "allowed_names.pseudonym": "`~` and ten digits of a keyed hash, which stand for the name",
    "allowed_names.name": "a name that the project's owner allowed, in any script; no detector hits it",
    "allowed_names.name_key_id": "which name key that was",
    "dead_letters.topic_id": _TOPIC,
    "dead_letters.topic": _TOPIC,
    "dead_letters.project": "`Record.project`, or the project in the key of a record that cannot be read",
    "dead_letters.reason": "the rule of the contract that the record breaks, ours",
    "dead_letters.field": "the path of the member at fault, of the contract's own words and numbers; never the sender's",
    "dead_letters.keyed_hash": "128 bits of the record's hash under a key of the operator's; empty without one",
    "ingest_ledger.topic_id": _TOPIC,
    "ingest_ledger.topic": _TOPIC,
    "stored_partitions.topic_id": _TOPIC,
    "stored_partitions.topic": _TOPIC,
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
    """The content of a column, in words. Raises LookupError for a column without an entry."""
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
