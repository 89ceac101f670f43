"""Deleted projects and runs, and the rows that remain. Pure; the fold and the workers leave out the same rows."""

from collections.abc import Iterable
from dataclasses import dataclass

from stream_workers.core.assemble import Rows


@dataclass(frozen=True, slots=True)
class Deletions:
    """Whole projects, and single runs by (project, run id)."""

    projects: frozenset[str] = frozenset()
    runs: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, said: Iterable[tuple[str, str | None]]) -> "Deletions":
        """From rows of the table: a run that is None stands for its project."""
        everything = list(said)
        return cls(
            projects=frozenset(project for project, run_id in everything if run_id is None),
            runs=frozenset((project, run_id) for project, run_id in everything if run_id is not None),
        )

    def has(self, project: str, run_id: str) -> bool:
        """Whether the run was deleted."""
        return project in self.projects or (project, run_id) in self.runs

    def left_of(self, rows: Rows) -> Rows:
        """The rows whose run was not deleted."""
        return Rows(
            steps=[row for row in rows.steps if not self.has(row.project, row.run_id)],
            failures=[row for row in rows.failures if not self.has(row.project, row.run_id)],
            runs=[state for state in rows.runs if not self.has(state.project, state.run_id)],
            losses=[row for row in rows.losses if not self.has(row.project, row.run_id)],
            producers=[row for row in rows.producers if not self.has(row.project, row.run_id)],
        )


NOTHING_DELETED = Deletions()
