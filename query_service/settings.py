"""All settings of the query service, read once at start. No other module reads the environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agenttracer.wire import form
from query_service.prices.table import read_prices
from servicekit.auth.authenticate import ANONYMOUS_RULE, FORMER_PEPPER_RULE, PEPPER_RULE, is_loopback
from servicekit.auth.key_cache import REFRESH_MAX_S
from servicekit.auth.keys import PEPPER_MIN_CHARS
from servicekit.http.tls import Tls


class QuerySettings(BaseSettings):
    """Settings of one query process: environment variables `AGENTTRACER_QUERY_…`."""

    model_config = SettingsConfigDict(env_prefix="AGENTTRACER_QUERY_", env_nested_delimiter="__", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Loopback: without TLS no other machine should reach the service. Set another address to allow it."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8001
    """Beside the gateway's 8000. 0 lets the system choose."""
    tls: Tls = Tls()
    """Certificate and key; without them plain HTTP, which fits loopback, or a balancer that ends TLS in front."""
    log_level: str = "INFO"
    """INFO shows every change of state; a successful request writes no line."""
    key_pepper: SecretStr | None = None
    """The pepper for the hashes of API keys: the same for the `agenttracer` command and all services, never in the database. At
    least 32 characters. Needed unless `anonymous_project` is set."""
    key_pepper_former: SecretStr | None = None
    """The pepper before this one: keys made under it stay good while clients change over to new ones. Then unset it."""
    keys_refresh_s: Annotated[float, Field(gt=0, le=REFRESH_MAX_S)] = 5.0
    """Interval at which the keys in memory are refreshed: a revoked key is refused after that, 30 s at most with all timeouts."""
    keys_stale_max_s: Annotated[float, Field(gt=0, le=604_800)] = 86_400.0
    """How long the last known keys stay valid while they cannot be read, keys revoked meanwhile included; then 503. Data comes
    from the same PostgreSQL, so this matters only where the role may read data and not keys."""
    anonymous_project: Annotated[str, Field(pattern=f"^{form.NAME_PATTERN}$")] | None = None
    """The project that a client without a key reads. Off by default. For a single machine: `host` must be a loopback address."""
    prices_file: Path | None = None
    """A table of model prices in place of the shipped one: `agenttracer prices` prints the form. Read once at start."""
    session_s: Annotated[int, Field(ge=60, le=2_592_000)] = 43_200
    """How long a browser stays signed in: a working day. A revoked key ends its sessions with it."""
    gateway_url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._/-]*)?$")] | None = None
    """The gateway's address as agents reach it, for the lines that an empty project shows. The local stack sets it."""
    ingest_key_file: Annotated[str, Field(max_length=4_096)] | None = None
    """The name of the file with the local stack's ingest key, for the same lines. It is not read. The local stack sets it."""

    postgres_dsn: SecretStr = SecretStr("postgresql://agenttracer_query@127.0.0.1:5432/agenttracer")
    """Secret because it may hold a password. The role must be agenttracer_query: row level security lets it read one project."""
    pool_max: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Connections to Postgres, opened as needed, and one more for `/ready`. One project uses at most half of them. Ten busy
    connections saturate a few cores; Postgres' default limit is 100."""
    pool_idle_s: Annotated[float, Field(ge=0)] = 60.0
    """An unused connection is closed after this time: an idle service holds none."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """A connection takes milliseconds; a longer time means that the host is down."""
    acquire_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Limit of the wait for a free connection, opening it included, and before that for other requests of the same project. A
    longer queue only delays every answer."""
    statement_timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Limit of one statement, enforced by Postgres. A page takes milliseconds; seconds mean that the request was too large."""
    transaction_timeout_s: Annotated[float, Field(gt=0, le=600)] = 8.0
    """Limit of all statements of one answer, enforced by the service: it also holds if Postgres or the network hangs."""
    connections_max: Annotated[int, Field(gt=0)] = 1_024
    """Open connections of clients, idle ones included: people and dashboards, not fleets. Above the limit, the oldest connection
    without a request in work is closed, the one that has waited longest for a request head first; if all are at work, 503."""
    head_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Limit from the opening of a connection, or the first byte of a further request, to the end of the head; then the
    connection is closed. A head is one packet, two at most."""
    head_max_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = 16_384
    """Limit of request line and headers; 431 above it. The longest request with the headers of proxies stays below 8 KiB."""
    tails_max: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Open tails, of `/v1/tail`; one project has at most half of them. Each keeps at most 1,000 runs in memory."""
    retry_after_s: Annotated[int, Field(ge=1, le=300)] = 2
    """`Retry-After` of a 503: about the time that a restart of Postgres takes."""
    drain_timeout_s: Annotated[int, Field(ge=0, le=60)] = 10
    """Time to finish requests in flight after SIGTERM; one answer takes no longer, and orchestrators wait 30 s."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.key_pepper is not None and len(self.key_pepper.get_secret_value()) < PEPPER_MIN_CHARS:
            raise ValueError(PEPPER_RULE)
        if self.key_pepper_former is not None and len(self.key_pepper_former.get_secret_value()) < PEPPER_MIN_CHARS:
            raise ValueError(FORMER_PEPPER_RULE)
        if self.anonymous_project is not None and not is_loopback(self.host):
            raise ValueError(ANONYMOUS_RULE)
        if self.prices_file is not None:
            try:
                read_prices(self.prices_file)
            except OSError:
                raise ValueError("prices_file cannot be read") from None
        return self
