"""The store stays ready for Citus: every named statement and migration keeps the rules, and each rule finds a bad example."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from ddl import distribution
from ddl.migration import Migration, migrations
from servicekit.sql import load
from tests.architecture.citus_rules import RULES, Statements, catalog_breaches, migration_breaches, sql_functions

ROOT = Path(__file__).parents[2]
PACKAGES = ("producer_gateway", "stream_workers", "query_service", "servicekit", "ddl", "deploy/agenttracer_cli")
SCHEMA = (ROOT / "ddl" / "schema.sql").read_text(encoding="utf-8")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.sql") if path.parent.parent.name != "ddl")
RULES_FROM = 10
"""The first migration that keeps the rules for new ones. Those before are in stores, and cannot change."""

_WHOLE: Final = "an operator's read of a whole table, of all projects and so on all servers, never a run's row by its key"
_SHADOW: Final = "fills a schema that nobody uses yet, from whole tables"
_PROJECTS: Final = "lists the projects with work to do, of all servers, and reads no row by its key"
EXEMPT: Final[Mapping[str, str]] = {
    "stream_workers/store: stored_runs": _WHOLE,
    "stream_workers/store: stored_steps": _WHOLE,
    "stream_workers/store: stored_failures": _WHOLE,
    "stream_workers/store: stored_losses": _WHOLE,
    "stream_workers/store: stored_producers": _WHOLE,
    "stream_workers/store: stored_run_rollups": _WHOLE,
    "stream_workers/store: stored_step_rollups": _WHOLE,
    "stream_workers/store: evidence": _WHOLE,
    "stream_workers/operations/verify: runs": _WHOLE,
    "stream_workers/operations/verify: projects": _WHOLE,
    "stream_workers/rollups: projects": _PROJECTS,
    "stream_workers/rollups: projects_with_totals": _PROJECTS,
    "stream_workers/rollups: count_deltas": _PROJECTS,
    "stream_workers/operations/deletion: project_on_day": _PROJECTS,
    "stream_workers/operations/verify: orphans": _WHOLE,
    "stream_workers/operations/rebuild: choose_old_runs": _SHADOW,
    "stream_workers/operations/rebuild: choose_run_names": _SHADOW,
    "stream_workers/operations/rebuild: rename_runs": _SHADOW,
    "stream_workers/operations/rebuild: choose_step_names": _SHADOW,
    "stream_workers/operations/rebuild: rename_steps": _SHADOW,
    "stream_workers/operations/rebuild: add_up_runs": _SHADOW,
    "stream_workers/operations/rebuild: add_up_steps": _SHADOW,
}
"""Statements that break a rule, each with the reason why it may."""


def breaches() -> dict[str, set[str]]:
    """Every statement that breaks rules, with these."""
    statements = Statements(sql_functions(SCHEMA))
    found = {
        f"{path.parent.relative_to(ROOT)}: {name}": statements.breaches(one.text)
        for path in FILES
        if path.name != "schema.sql"
        for name, one in load(path).items()
    }
    return {name: rules for name, rules in found.items() if rules}


def test_every_named_statement_keeps_the_rules() -> None:
    """But for those that may break one, all of which do: the lists grow stale by no change."""
    found = breaches()
    for name in sorted(found.keys() - EXEMPT.keys()):
        pytest.fail(f"{name}: {'; '.join(f'{rule}: {RULES[rule]}' for rule in sorted(found[name]))}")
    assert found.keys() == EXEMPT.keys()


def test_the_schema_keeps_the_rules_of_the_catalog() -> None:
    """Every table is in one class; no sequences, no foreign keys; unique indexes name project; views read one table."""
    assert catalog_breaches(SCHEMA) == []
    classes = (distribution.DISTRIBUTED, distribution.REFERENCE, distribution.LOCAL, distribution.TEMPORARY, distribution.VIEWS)
    assert sum(map(len, classes)) == len(frozenset().union(*classes)), "a table is in two classes"
    assert sql_functions(SCHEMA) == frozenset()


@pytest.mark.parametrize("migration", [one for one in migrations() if one.version >= RULES_FROM], ids=lambda one: one.name)
def test_a_new_migration_keeps_the_rules(migration: Migration) -> None:
    """One change an ALTER, named constraints, no SELECT without columns, no function in SQL over run tables."""
    assert migration_breaches(migration.sql) == []


_BAD: Final = [
    ("R1", "SELECT EXISTS (SELECT FROM runs WHERE project = $1)"),
    ("R1", "SELECT FROM ingest_ledger"),
    ("R2", "SELECT 1 FROM runs WHERE run_id = $1 FOR UPDATE"),
    ("R2", "SELECT 1 FROM unnest($1::text[]) AS asked (project) JOIN runs USING (project) FOR NO KEY UPDATE OF runs"),
    ("R3", "SELECT 1 FROM runs CROSS JOIN LATERAL (SELECT 1 FROM steps WHERE steps.project = runs.project LIMIT 1) AS step"),
    ("R4", "INSERT INTO runs AS run (project) VALUES ($1) ON CONFLICT (project, run_id) DO UPDATE SET ended_at = now()"),
    (
        "R4",
        (
            "INSERT INTO runs AS run (project) VALUES ($1) ON CONFLICT (project, run_id) DO UPDATE "
            "SET silent_after = run.last_received_at + make_interval(secs => 1) WHERE true"
        ),
    ),
    ("R5", "UPDATE steps SET name = 'x' WHERE project = $1 AND date_trunc('minute', started_at) = $2"),
    ("R5", "DELETE FROM steps WHERE project = $1 AND extract(epoch FROM started_at) > 0"),
    ("R6", "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1"),
    ("R6", "UPDATE runs SET ended_at = CASE WHEN ended_at IS NULL THEN now() END WHERE project = $1"),
    ("R7", "SELECT account_of(run_id) FROM runs WHERE project = $1"),
    ("R8", "SELECT set_config('agenttracer.project', $1, true)"),
    ("R9", "SELECT 1 FROM runs"),
    ("R9", "SELECT 1 FROM runs WHERE $1::text IS NULL OR project = $1"),
    ("R9", "SELECT 1 FROM runs JOIN failures USING (project, run_id) WHERE project = $1"),
    ("R9", "SELECT 1 FROM runs JOIN failures USING (run_id) WHERE runs.project = $1 AND failures.run_id = $2"),
    ("R9", "WITH gone AS (DELETE FROM runs USING gone_runs WHERE runs.run_id = gone_runs.run_id RETURNING 1) SELECT 1 FROM gone"),
    ("R9", "SELECT coalesce((SELECT max(started_at) FROM runs_now), $1)"),
    ("R9", "(SELECT 1 FROM runs WHERE project = $1) UNION ALL (SELECT 1 FROM failures)"),
    (
        "R10",
        ("SELECT 1 FROM runs WHERE project = $1 AND NOT EXISTS (SELECT 1 FROM gone_runs WHERE gone_runs.run_id = runs.run_id)"),
    ),
    ("R11", "INSERT INTO steps (project) SELECT project FROM stage_steps"),
]


@pytest.mark.parametrize(("rule", "text"), _BAD)
def test_a_bad_statement_is_found(rule: str, text: str) -> None:
    """By the rule that it breaks."""
    assert rule in Statements(frozenset({"account_of"})).breaches(text)


def test_every_rule_has_a_bad_example() -> None:
    """A rule that was never seen to fail may not look at anything."""
    assert {rule for rule, _ in _BAD} == RULES.keys()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM runs WHERE project = $1 AND run_id = ANY($2) ORDER BY run_id FOR NO KEY UPDATE",
        (
            "SELECT 1 FROM unnest($1::uuid[]) AS asked (run_id) CROSS JOIN LATERAL "
            "(SELECT 1 FROM steps WHERE steps.project = $2 AND steps.run_id = asked.run_id LIMIT 1) AS step"
        ),
        (
            "INSERT INTO runs AS run (project) SELECT project FROM stage_runs ON CONFLICT (project, run_id) DO UPDATE "
            "SET silent_after = (run.last_received_at AT TIME ZONE 'UTC' + make_interval(secs => 1)) AT TIME ZONE 'UTC'"
        ),
        "INSERT INTO ingest_ledger AS ledger (topic) VALUES ($1) ON CONFLICT (topic) DO UPDATE SET updated_at = now()",
        "UPDATE steps SET name = $3 WHERE steps.project = $1 AND started_at >= date_trunc('minute', $2::timestamptz)",
        (
            "SELECT (stored.name) IS DISTINCT FROM (staged.name) FROM stage_steps AS staged JOIN steps AS stored "
            "ON stored.project = $1 AND stored.run_id = staged.run_id FOR UPDATE OF stored"
        ),
        "SELECT extract(epoch FROM started_at) FROM runs WHERE project = $1",
        "SELECT count(*) FROM gone_runs",
    ],
)
def test_a_good_statement_is_none(text: str) -> None:
    """What statements of ours look like breaks no rule."""
    assert Statements().breaches(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE elsewhere (project text)",
        "CREATE SEQUENCE numbers",
        "ALTER TABLE steps ADD CONSTRAINT steps_run FOREIGN KEY (project, run_id) REFERENCES runs (project, run_id)",
        "ALTER TABLE ONLY runs ADD CONSTRAINT runs_pkey PRIMARY KEY (run_id)",
        "CREATE UNIQUE INDEX runs_once ON runs USING btree (run_id)",
        "CREATE VIEW both AS SELECT 1 FROM runs JOIN failures USING (project, run_id)",
    ],
)
def test_a_bad_catalog_is_found(text: str) -> None:
    """Whatever of it is bad."""
    assert catalog_breaches(text)


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE runs ADD COLUMN size integer CHECK (size > 0)",
        "ALTER TABLE runs ADD COLUMN size integer, ADD CONSTRAINT runs_size_check CHECK (size > 0)",
        "ALTER TABLE runs ADD CHECK (size > 0)",
        "ALTER TABLE runs ADD COLUMN name text UNIQUE",
        "CREATE TABLE more (project text PRIMARY KEY)",
        "CREATE TABLE more (id bigint GENERATED ALWAYS AS IDENTITY)",
        "CREATE FUNCTION runs_of(p text) RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM runs WHERE project = p)",
        "DO $$ BEGIN PERFORM 1 WHERE EXISTS (SELECT FROM runs); END $$",
    ],
)
def test_a_bad_migration_is_found(text: str) -> None:
    """Whatever of it is bad."""
    assert migration_breaches(text)


def test_a_function_in_sql_over_run_tables_is_found() -> None:
    """By its name, for those who call it."""
    text = "CREATE FUNCTION a.runs_of(p text) RETURNS bigint LANGUAGE sql\nRETURN (SELECT 1 FROM runs);\nCREATE TABLE t (x int);"
    assert sql_functions(text) == {"runs_of"}
