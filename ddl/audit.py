"""The words of the audit log: what it says was done."""

from enum import StrEnum


class AuditAction(StrEnum):
    """One entry's kind."""

    KEY_CREATED = "key_created"
    KEY_REVOKED = "key_revoked"
    KEY_REFUSED = "key_refused"
    """A service refused requests for their key: `number` of them, within a minute, for one `reason`."""
    RUN_DELETED = "run_deleted"
    PROJECT_DELETED = "project_deleted"
    RETENTION_SET = "retention_set"
    RUNS_EXPIRED = "runs_expired"
    """Retention removed `number` runs of a project."""
