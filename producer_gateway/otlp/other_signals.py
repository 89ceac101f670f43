"""OTLP's metrics and logs: how many items a request holds, and nothing else of it."""

from enum import Enum
from importlib import import_module
from typing import Any, Final

import msgspec

from producer_gateway.errors import NotOtlpError, NotProtobufError
from producer_gateway.otlp import proto

_DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError


class _Camel(msgspec.Struct, rename="camel", gc=False):
    """Members as OTLP's JSON spells them."""


class _ScopeLogs(_Camel):
    log_records: list[msgspec.Raw] | None = None


class _ResourceLogs(_Camel):
    scope_logs: list[_ScopeLogs] | None = None


class _LogsRequest(_Camel):
    resource_logs: list[_ResourceLogs] | None = None


class _ScopeMetrics(_Camel):
    metrics: list[msgspec.Raw] | None = None


class _ResourceMetrics(_Camel):
    scope_metrics: list[_ScopeMetrics] | None = None


class _MetricsRequest(_Camel):
    resource_metrics: list[_ResourceMetrics] | None = None


class OtherSignal(Enum):
    """A signal that is taken and thrown away. Of metrics the metrics are counted, not their points, which are not looked into."""

    METRICS = "metrics"
    LOGS = "logs"

    @property
    def items(self) -> str:
        """What is counted, in words."""
        return "metrics" if self is OtherSignal.METRICS else "log records"

    @property
    def member(self) -> str:
        """The member of `partialSuccess` that counts them."""
        return "rejectedDataPoints" if self is OtherSignal.METRICS else "rejectedLogRecords"

    def count_protobuf(self, body: bytes) -> int:
        """Items of an Export…ServiceRequest. Raises NotProtobufError."""
        try:
            request = proto.OtherRequest.FromString(body)
        except _DecodeError:
            raise NotProtobufError from None
        return sum(len(scope.items) for resource in request.resources for scope in resource.scopes)

    def count_json(self, body: bytes) -> int:
        """The same of one in JSON. Raises NotOtlpError."""
        kind: Any = _MetricsRequest if self is OtherSignal.METRICS else _LogsRequest
        try:
            return _count(msgspec.json.decode(body, type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NotOtlpError from None


def _count(request: _LogsRequest | _MetricsRequest) -> int:
    if isinstance(request, _LogsRequest):
        logs = [scope.log_records for resource in request.resource_logs or () for scope in resource.scope_logs or ()]
        return sum(map(len, filter(None, logs)))
    metrics = [scope.metrics for resource in request.resource_metrics or () for scope in resource.scope_metrics or ()]
    return sum(map(len, filter(None, metrics)))
