"""Everything the query service is told from outside, read once at start. No other module reads the environment."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agenttracer.wire import form
from servicekit.access import ANONYMOUS_RULE, PEPPER_RULE, is_loopback
from servicekit.key_ring import REFRESH_MAX_S
from servicekit.keys import PEPPER_MIN_CHARS
from servicekit.tls import Tls


class QuerySettings(BaseSettings):
    """Settings of one query process: environment variables `AGENTTRACER_QUERY_…`."""

    model_config = SettingsConfigDict(env_prefix="AGENTTRACER_QUERY_", env_nested_delimiter="__", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Without TLS in front of it nothing but this machine should reach it, unless somebody says so."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8001
    """Beside the gateway's 8000. 0 lets the system choose."""
    tls: Tls = Tls()
    """Certificate and key; without them plain HTTP, which fits loopback, or a balancer that ends TLS in front."""
    log_level: str = "INFO"
    """Enough to see every change of state; a request that goes well writes no line."""
    key_pepper: SecretStr | None = None
    """What the secrets of API keys are hashed with: the same for the `agenttracer` command and all services, and never in the
    database. At least 32 characters. Needed unless `anonymous_project` is set."""
    keys_refresh_s: Annotated[float, Field(gt=0, le=REFRESH_MAX_S)] = 5.0
    """Keys are held in memory and read anew this often: a revoked one is refused after that, at most 30 s with every timeout."""
    keys_stale_max_s: Annotated[float, Field(gt=0, le=604_800)] = 86_400.0
    """How long the last known keys serve while they cannot be read, those that are revoked meanwhile too; then 503. Data comes
    from the same PostgreSQL, so this matters only where the role may read data and not keys."""
    anonymous_project: Annotated[str, Field(pattern=f"^{form.NAME_PATTERN}$")] | None = None
    """The project that readers without a key see. Off; for one machine on its own, so `host` must be a loopback address."""

    postgres_dsn: SecretStr = SecretStr("postgresql://agenttracer_query@127.0.0.1:5432/agenttracer")
    """Secret because it may hold a password. The role must be agenttracer_query: row level security lets it read one project."""
    pool_max: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Connections to Postgres, opened as needed, and one more for `/ready`. One project's questions take at most half of them.
    Ten busy ones saturate a few cores; Postgres' default limit is 100."""
    pool_idle_s: Annotated[float, Field(ge=0)] = 60.0
    """An unused connection is given back after this: a service at rest holds none."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """A connection takes milliseconds; longer means that the host is away."""
    acquire_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Wait for a free connection, its making included, and before that for other questions of the same project. Longer queues
    only make every answer late."""
    statement_timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """One statement, ended by Postgres itself. A page takes milliseconds; seconds mean that too much was asked at once."""
    transaction_timeout_s: Annotated[float, Field(gt=0, le=600)] = 8.0
    """All statements of one answer, ended by us: also holds where Postgres or the network has stopped answering."""
    connections_max: Annotated[int, Field(gt=0)] = 1_024
    """Open connections of clients, idle ones included: people and dashboards, not fleets. Beyond that the one whose head is
    awaited for longest is closed; where none is, uvicorn answers 503."""
    head_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """From opening, or the first byte of a further request, to the end of its head; then the connection is closed. A head is one
    packet, two at most."""
    head_max_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = 16_384
    """Address and headers; 431 beyond that. The longest question with what proxies and tracers add stays below 8 KiB."""
    retry_after_s: Annotated[int, Field(ge=1, le=300)] = 2
    """What a client is told to wait after a 503: about as long as a restart of Postgres takes."""
    drain_timeout_s: Annotated[int, Field(ge=0, le=60)] = 10
    """To finish what is in flight after SIGTERM; one answer takes no longer, and orchestrators wait 30 s."""

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if self.key_pepper is not None and len(self.key_pepper.get_secret_value()) < PEPPER_MIN_CHARS:
            raise ValueError(PEPPER_RULE)
        if self.anonymous_project is not None and not is_loopback(self.host):
            raise ValueError(ANONYMOUS_RULE)
        return self
