"""Every metric of the gateway, named in one place. Labels come from closed sets of our own, never from input."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge

from producer_gateway.counters import CounterFamily, HistogramFamily

_ACK_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class GatewayMetric(StrEnum):
    """Names as Prometheus shows them."""

    EVENTS_ACCEPTED = "agenttracer_gateway_events_accepted_total"
    EVENTS_REFUSED = "agenttracer_gateway_events_refused_total"
    VALUES_DROPPED = "agenttracer_gateway_values_dropped_total"
    ATTRIBUTES_DROPPED = "agenttracer_gateway_otlp_attributes_dropped_total"
    UNKNOWN_MEMBERS = "agenttracer_gateway_unknown_members_total"
    REQUESTS_REFUSED = "agenttracer_gateway_requests_refused_total"
    BODY_BYTES = "agenttracer_gateway_body_bytes_total"
    RECORDS = "agenttracer_gateway_records_total"
    RECORD_BYTES = "agenttracer_gateway_record_bytes_total"
    ACK_SECONDS = "agenttracer_gateway_ack_seconds"
    IN_FLIGHT_REQUESTS = "agenttracer_gateway_in_flight_requests"
    IN_FLIGHT_BYTES = "agenttracer_gateway_in_flight_bytes"
    KEYS_AGE_SECONDS = "agenttracer_gateway_keys_age_seconds"
    KEYS_REFUSED = "agenttracer_gateway_keys_refused_total"
    PRODUCE_ERRORS = "agenttracer_gateway_produce_errors_total"
    PRODUCERS_REPLACED = "agenttracer_gateway_producers_replaced_total"
    CONNECTIONS = "agenttracer_gateway_connections"
    CONNECTIONS_CLOSED = "agenttracer_gateway_connections_closed_total"


class GatewayMetrics:
    """The gateway's metrics in a registry of their own, so that two gateways in one process do not meet."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.events_accepted = CounterFamily(
            GatewayMetric.EVENTS_ACCEPTED, "Events acknowledged by the log.", registry=registry
        ).of()
        self.events_refused = Counter(GatewayMetric.EVENTS_REFUSED, "Events refused in answers.", ["reason"], registry=registry)
        self.values_dropped = Counter(GatewayMetric.VALUES_DROPPED, "Values left out of events.", ["rule"], registry=registry)
        self.attributes_dropped = Counter(
            GatewayMetric.ATTRIBUTES_DROPPED,
            "Attributes of spans, their events and links, resources and scopes that the mapping has no place for.",
            ["name_class"],
            registry=registry,
        )
        self.unknown_members = CounterFamily(
            GatewayMetric.UNKNOWN_MEMBERS, "Members of a newer minor version.", registry=registry
        ).of()
        self.requests_refused = Counter(GatewayMetric.REQUESTS_REFUSED, "Requests not accepted.", ["code"], registry=registry)
        self.body_bytes = CounterFamily(GatewayMetric.BODY_BYTES, "Bodies received, inflated.", registry=registry).of()
        self.records = CounterFamily(GatewayMetric.RECORDS, "Records acknowledged by the log.", registry=registry).of()
        self.record_bytes = CounterFamily(
            GatewayMetric.RECORD_BYTES, "Record values acknowledged, uncompressed.", registry=registry
        ).of()
        self.ack_seconds = HistogramFamily(
            GatewayMetric.ACK_SECONDS, "From append to the last acknowledgement.", bounds=_ACK_BUCKETS_S, registry=registry
        ).of()
        self.in_flight_requests = Gauge(
            GatewayMetric.IN_FLIGHT_REQUESTS, "Requests received and not yet answered.", registry=registry
        )
        self.in_flight_bytes = Gauge(GatewayMetric.IN_FLIGHT_BYTES, "Bodies held, as received and inflated.", registry=registry)
        self.keys_age_seconds = Gauge(GatewayMetric.KEYS_AGE_SECONDS, "Since API keys were last read.", registry=registry)
        self.keys_refused = Counter(
            GatewayMetric.KEYS_REFUSED, "Requests refused for their API key.", ["reason"], registry=registry
        )
        self.produce_errors = Counter(
            GatewayMetric.PRODUCE_ERRORS, "Batches of records that failed.", ["error_class"], registry=registry
        )
        self.producers_replaced = Counter(GatewayMetric.PRODUCERS_REPLACED, "Producers given up.", ["reason"], registry=registry)
        self.connections = Gauge(GatewayMetric.CONNECTIONS, "Open connections of clients.", registry=registry)
        self.connections_closed = Counter(
            GatewayMetric.CONNECTIONS_CLOSED, "Connections ended for being slow, idle or spare.", ["reason"], registry=registry
        )
