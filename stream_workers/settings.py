"""The settings of a worker process. Environment variables with the prefix AGENTTRACER_WORKER_; nothing is read elsewhere."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from agenttracer.wire.topics import EVENTS_TOPIC
from servicekit.kafka import KafkaSecurity


class WorkerSettings(BaseSettings):
    """One worker's settings. Each default has its reason beside it."""

    model_config = SettingsConfigDict(env_prefix="AGENTTRACER_WORKER_", env_nested_delimiter="__", frozen=True, extra="forbid")

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Kafka's addresses, comma-separated. The local stack's by default."""
    kafka_security: KafkaSecurity = KafkaSecurity()
    """Plaintext, which fits a broker on loopback and nothing else."""
    postgres_dsn: SecretStr
    """Where the store is, for the role agenttracer_worker. No default: a worker without a store has nothing to do."""
    topic: str = EVENTS_TOPIC
    """The contract's topic; another one only for tests and rebuilds."""
    group: str = "agenttracer-workers"
    """Workers of one group share the partitions. Another group is another reader of everything, and needs another store: in one,
    two groups would take each other's partitions."""
    instance: str | None = None
    """A name that a worker keeps over restarts (an orchestrator's ordinal): its return then moves no partitions."""
    host: str = "127.0.0.1"
    """Where /health, /ready and /metrics listen. Loopback: opening it is a decision."""
    port: int = Field(default=8002, ge=0, le=65_535)
    """The first worker's port on one machine; a further one needs its own."""
    batch_max_rows: int = Field(default=16_000, ge=1)
    """Measured best of 5,000, 16,000 and 40,000 rows a transaction: 42k, 53-57k and 38k events/s."""
    batch_max_wait_s: float = Field(default=0.05, ge=0, le=5)
    """The least time between the starts of two batches that are not full: freshness against the number of transactions. After a
    pause as long as this a record does not wait at all."""
    buffer_max_chunks: int = Field(default=16, ge=1)
    """Chunks of up to 500 records or 1 MiB held in memory while the store is slow; then fetching pauses."""
    buffer_max_bytes: int = Field(default=24 << 20, ge=1 << 20)
    """Values of records, unpacked, from decoding to their COMMIT: as objects and rows they take some six times as much. Three
    batches of 16,000 common rows fit, so that one can be written while the next one gathers."""
    transaction_timeout_s: float = Field(default=30.0, gt=0)
    """A transaction of the largest batch takes about a second. Kept here and by the server, which so ends a stopped worker's."""
    retry_max_s: float = Field(default=30.0, gt=0)
    """The longest pause between two tries while the store is away."""
    session_timeout_s: float = Field(default=10.0, gt=0)
    """After this silence Kafka gives a dead worker's partitions to others. Longer is calmer, shorter fails over faster."""
    stuck_after_s: float = Field(default=60.0, gt=0)
    """Lag without progress for this long while the store answers ends the process: its orchestrator starts a fresh one. Twice as
    long as a transaction, or the pause before the next try, may last. A worker whose partitions another one took waits so long
    for Kafka to say so."""
    retention_alarm_share: float = Field(default=0.25, gt=0, lt=1)
    """The alarm is on when less than this share of the topic's retention is left until it may delete what is not stored. Of seven
    days that leaves 42 hours to act."""
    compact_every_s: float = Field(default=10.0, ge=0, le=3_600)
    """The pause between two compactions of statistics, which workers do in turns. A minute is compacted once it is over, so a
    shorter pause gains nothing; with a longer one readers add up more deltas. 0: this worker never compacts."""
    complete_margin_s: float = Field(default=10.0, ge=0, le=3_600)
    """How far `complete_to` stays behind what is stored: the longest that a request waits between its receipt and Kafka's
    acknowledgement (AGENTTRACER_GATEWAY_REQUEST_DEADLINE_S), and the most that clocks of gateways and workers differ."""
    stop_grace_s: float = Field(default=30.0, gt=0)
    """How long SIGTERM waits for records in flight. Those not stored by then are read again by the next owner."""
    dead_letter_max_share: float = Field(default=0.01, gt=0, le=1)
    """Share of a project's last 1,000 records that may be dead letters; above it the project is parked: its records are held back
    as dead letters with the reason `parked`, and the others go on."""
    dead_letter_max_in_a_row: int = Field(default=100, ge=1)
    """Dead letters of a project one after the other that park it, for the same reason."""
    dead_letter_park_s: float = Field(default=300.0, gt=0)
    """For so long a parked project's records are held back; then they are tried again, and the first bad one parks it again."""
    dead_letter_max_projects: int = Field(default=3, ge=2)
    """Projects parked one after the other, with no record of any project stored in between, that park the worker itself: then the
    fault is not theirs. It stays alive and is not ready."""
    dead_letter_exit: bool = False
    """End with exit code 65 instead of parking the worker: for an orchestrator that does not start it again."""
    dead_letter_key: SecretStr | None = None
    """Key for the hashes of dead letters. Without it they carry none."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
