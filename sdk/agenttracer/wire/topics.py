"""The log's contract: topic names, keys, headers, writers and readers. See also `envelope.Record`.

| topic | key | value | written by | read by |
|---|---|---|---|---|
| `agent.events.v1` | `project:run_id`, UTF-8 | one `Record` as JSON, zstd | gateway | stream workers, verify, rebuild |

Records carry no headers. The partition is the client's default hash of the key, so a run stays in one partition as long as
the partition count stays; it is fixed when the topic is created.
"""

from typing import Final

EVENTS_TOPIC: Final = "agent.events.v1"
PARTITIONS_DEFAULT: Final = 12
RECORD_MAX_BYTES: Final = 8 * 1024 * 1024
"""Largest record value, uncompressed: the gateway's limit on an inflated request."""


def record_key(project: str, run_id: str) -> bytes:
    """The Kafka key of a record: all records of a run share one partition."""
    return f"{project}:{run_id}".encode()
