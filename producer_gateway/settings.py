"""All settings of the gateway, read once at start. No other module reads the environment."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agenttracer.rules.names.pseudonyms import KEY_MIN_CHARS as NAME_KEY_MIN_CHARS
from agenttracer.wire import form
from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from agenttracer.wire.topics import EVENTS_TOPIC, RECORD_MAX_BYTES
from servicekit.auth.authenticate import ANONYMOUS_RULE, FORMER_PEPPER_RULE, PEPPER_RULE, is_loopback
from servicekit.auth.key_cache import REFRESH_MAX_S
from servicekit.auth.keys import PEPPER_MIN_CHARS
from servicekit.http.tls import Tls
from servicekit.kafka import KafkaSecurity

_KIB = 1024
_MIB = 1024 * _KIB
NAME_KEY_RULE = f"name_key must have at least {NAME_KEY_MIN_CHARS} characters; make one with: openssl rand -hex 32"


class GatewaySettings(BaseSettings):
    """Settings of one gateway process: environment variables `AGENTTRACER_GATEWAY_…`."""

    model_config = SettingsConfigDict(env_prefix="AGENTTRACER_GATEWAY_", env_nested_delimiter="__", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Without TLS in front of it nothing but this machine should reach it, unless the operator decides otherwise."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Where the SDK looks by default. 0 lets the system choose."""
    reuse_port: bool = False
    """Lets several processes listen on the same port, between which the system spreads connections. Off, a second one fails."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Started by this one on its port, each on one core with limits and a producer of its own. More than one needs pages_port."""
    pages_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Health, readiness and metrics of this process alone, in plain HTTP; the n-th of several has the n-th port from here on.
    0 lets the system choose. With it `port` has no metrics any more, which tell anybody the names of projects and what they send:
    set it wherever `port` can be reached from outside, and this one not."""
    grpc_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """OTLP over gRPC on a port of its own, usually 4317; on the port of several processes each listens. None does not speak it,
    0 lets the system choose."""
    tls: Tls = Tls()
    """Certificate and key; without them plain HTTP, which fits loopback, or a balancer that ends TLS in front."""
    log_level: str = "INFO"
    """Enough to see every change of state; a request that goes well writes no line."""
    postgres_dsn: SecretStr | None = None
    """Where API keys are looked up, for the role agenttracer_gateway. Needed unless `anonymous_project` is set; secret because it
    may hold a password."""
    key_pepper: SecretStr | None = None
    """The key with which secrets of API keys are hashed: the same for the `agenttracer` command and all services, never in the
    database. Comes with `postgres_dsn`; at least 32 characters."""
    key_pepper_former: SecretStr | None = None
    """The pepper before this one: keys made under it stay good while clients change over to new ones. Then unset it."""
    keys_refresh_s: Annotated[float, Field(gt=0, le=REFRESH_MAX_S)] = 5.0
    """Keys are held in memory and read again this often: a revoked one is refused after that, at most 30 s with every timeout. So
    are the names that closed projects allow."""
    keys_stale_max_s: Annotated[float, Field(gt=0, le=604_800)] = 86_400.0
    """How long the last known keys serve while this process cannot read them, so that ingest goes on; then 503. A day is an
    outage with people on it. A key revoked meanwhile serves as long: alarm on agenttracer_gateway_keys_age_seconds above 30."""
    name_key: SecretStr | None = None
    """The key of pseudonyms, which stand for names that may not be stored as they are: the same for the `agenttracer` command and
    all gateways, never in the database, at least 32 characters. Without it such names are `__invalid__`, and closed projects are
    answered with 503."""
    anonymous_project: Annotated[str, Field(pattern=f"^{form.NAME_PATTERN}$")] | None = None
    """The project of what comes without a key. Off; for one machine on its own, so `host` must be a loopback address."""

    read_errors: bool = True
    """Messages of exceptions, descriptions of spans and results of tools are read in memory for the code of an error; one word is
    kept. Off, only flags, classes and codes count."""

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Comma-separated host:port of some brokers; the usual port of a local one."""
    kafka_security: KafkaSecurity = KafkaSecurity()
    """Plaintext, which fits a broker on loopback and nothing else."""
    topic: str = EVENTS_TOPIC
    """The contract's name; another one serves tests and side-by-side stacks."""

    request_deadline_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """From the end of a request's head to its answer. Half of the SDK's total timeout, so that the client gets the 503."""
    receive_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """For the body alone, from the end of the head: 1 MiB at 350 KiB/s, and 2 s are left to produce in. On every route it is the
    time for a body's first KiB, or all of a smaller one."""
    otlp_receive_timeout_s: Annotated[float, Field(gt=0, le=60)] = 7.0
    """The same at `/v1/traces`, once a KiB is there: 8 MiB at 1.2 MiB/s. OpenTelemetry's exporters do not retry a 408."""
    otlp_request_deadline_s: Annotated[float, Field(gt=0, le=60)] = 9.0
    """At `/v1/traces`, where a body that took its time leaves `request_deadline_s` from its end, but no longer than this from its
    beginning. OpenTelemetry's exporters wait 10 s."""
    body_max_bytes: Annotated[int, Field(gt=0)] = _MIB
    """As received. The SDK's batches stay well below; what holds more is no batch."""
    otlp_body_max_bytes: Annotated[int, Field(gt=0)] = RECORD_MAX_BYTES
    """As received at `/v1/traces`. As much as inflated: exporters compress only if configured, never split what is refused."""
    inflated_max_bytes: Annotated[int, Field(gt=0)] = RECORD_MAX_BYTES
    """After decompression: 5,000 events of 1.6 KiB."""
    inflate_max_ratio: Annotated[int, Field(gt=1)] = 50
    """Of what is larger than 1 MiB inflated. Events compress 10 to 30 times. A worker unpacks what the log has packed, so a ratio
    without a bound would let few bytes on the wire fill its memory; gzip can reach 1,032, zstd 16,000."""
    otlp_inflate_max_ratio: Annotated[int, Field(gt=1)] = 300
    """The same at `/v1/traces`, where none of it reaches the log: 8 MiB of one conversation, repeated by each span, compress 140
    times at the most."""
    events_max: Annotated[int, Field(ge=1, le=BATCH_MAX_EVENTS)] = BATCH_MAX_EVENTS
    """Events in one request. The contract's own limit, since the SDK knows that one."""
    otlp_spans_max: Annotated[int, Field(ge=1, le=20_000)] = 10_000
    """Spans in one request. OpenTelemetry's SDKs send 512 by default, its Collector 8,192; neither splits what is refused."""
    rate_events_per_s: Annotated[float, Field(ge=0)] = 20_000.0
    """Of one project, those included that are refused, and values left out as well; a body that takes more time than its events
    should counts as 40,000 a second of the processor. Twice what one worker stores: more only fills the log. Divided among
    `processes`; a client on one connection has one process's share. 0: no limit."""
    rate_bytes_per_s: Annotated[float, Field(ge=0)] = 32.0 * _MIB
    """Of one project, as received or inflated, whichever is more. Divided among `processes`, as above. 0: no limit."""
    rate_burst_s: Annotated[float, Field(gt=0, le=3_600)] = 10.0
    """How many seconds' worth may come at once: an SDK that comes back after an outage sends its queue."""
    projects_shown_max: Annotated[int, Field(ge=0, le=1_000)] = 50
    """Projects with metrics of their own, in order of appearance; the rest is `__other__`. Each takes some twenty series, and
    one more for each rule that it breaks."""
    in_flight_max_bytes: Annotated[int, Field(gt=0)] = 128 * _MIB
    """Bodies held at once, received and inflated, and four times as much for what is made from them: some 100,000 events that
    wait for Kafka. The process takes at most this and 64 MiB more than when it is idle."""
    in_flight_max_requests: Annotated[int, Field(gt=0)] = 512
    """Requests whose body is there and whose answer is not: at 5 s each the slowest Kafka still sees 100 requests/s."""
    connections_max: Annotated[int, Field(gt=0)] = 8_192
    """Open connections, idle ones included: an SDK keeps one each. For one more the oldest that waits for nothing is closed."""
    head_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """From opening, or the first byte of a further request, to the end of its head. A head is one packet, two at most."""
    head_max_bytes: Annotated[int, Field(ge=1_024, le=_MIB)] = 16 * _KIB
    """Address and headers. With what proxies and tracers add they stay below 8 KiB, the usual limit of servers."""
    idle_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 75.0
    """Between an answer and the next request: above the 60 s after which balancers give up an idle connection, since the side
    that closes first should be the one that sends next."""
    answer_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """For a client to take its answer, which is kept until then. Most are 50 bytes; with 5,000 refusals one has 300 KiB."""
    retry_after_s: Annotated[int, Field(ge=1, le=300)] = 1
    """The least wait in Retry-After after a 503; up to twice as much is added at random."""

    record_max_bytes: Annotated[int, Field(gt=8 * _KIB, le=RECORD_MAX_BYTES)] = 256 * _KIB
    """A run's events are split into records no larger than this, uncompressed: workers unpack dozens of them at once. The largest
    single event takes about 6 KiB, and Kafka's default limit is 1 MiB."""
    batch_max_bytes: Annotated[int, Field(gt=0)] = 512 * _KIB
    """The size of a batch that is sent to a partition at once. Bounds memory at two batches a partition."""
    linger_ms: Annotated[int, Field(ge=0, le=1_000)] = 5
    """Wait for other records: a few ms make batches of many requests and do not show in the time to ack."""
    unready_after_s: Annotated[float, Field(gt=0)] = 3.0
    """Without an ack that is waited for, or without any contact to Kafka, before readiness goes red."""
    replace_after_s: Annotated[float, Field(gt=0)] = 10.0
    """A record without an outcome for so long, with Kafka in reach, means a wedged producer: two request deadlines, and never
    within one, where it may only be slow."""
    drain_timeout_s: Annotated[int, Field(ge=0, le=60)] = 10
    """To finish what is in flight after SIGTERM; twice the request deadline, never less than one, and less than orchestrators
    wait (30 s)."""
    flush_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """To close a producer. Records that it still holds then have been answered with 503 already."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.receive_timeout_s >= self.request_deadline_s:
            raise ValueError("receive_timeout_s must be below request_deadline_s: the rest is the time to produce in")
        if self.replace_after_s <= self.request_deadline_s:
            raise ValueError("replace_after_s must be above request_deadline_s: else a slow producer is taken for a wedged one")
        if self.drain_timeout_s < self.request_deadline_s:
            raise ValueError("drain_timeout_s must not be below request_deadline_s: else a stop cuts requests off")
        if self.otlp_receive_timeout_s >= self.otlp_request_deadline_s:
            raise ValueError("otlp_receive_timeout_s must be below otlp_request_deadline_s: the rest is the time to produce in")
        if self.drain_timeout_s < self.otlp_request_deadline_s:
            raise ValueError("drain_timeout_s must not be below otlp_request_deadline_s: else a stop cuts requests off")
        if self.processes > 1 and self.grpc_port == 0:
            raise ValueError("processes needs a grpc_port of your choice: of 0 each process would get a port of its own")
        if self.processes > 1 and self.pages_port is None:
            raise ValueError("processes needs pages_port: metrics read from a shared port are of whichever process answers")
        return self

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if (self.postgres_dsn is None) != (self.key_pepper is None):
            raise ValueError(
                "postgres_dsn and key_pepper come together: keys are looked up with the one and checked with the other"
            )
        if self.key_pepper is not None and len(self.key_pepper.get_secret_value()) < PEPPER_MIN_CHARS:
            raise ValueError(PEPPER_RULE)
        if self.key_pepper_former is not None and len(self.key_pepper_former.get_secret_value()) < PEPPER_MIN_CHARS:
            raise ValueError(FORMER_PEPPER_RULE)
        if self.name_key is not None and len(self.name_key.get_secret_value()) < NAME_KEY_MIN_CHARS:
            raise ValueError(NAME_KEY_RULE)
        if self.anonymous_project is not None and not is_loopback(self.host):
            raise ValueError(ANONYMOUS_RULE)
        return self
