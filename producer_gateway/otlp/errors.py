"""What only the OTLP route objects to; see `producer_gateway.errors`.

RefusedError
├── NotProtobufError     400
├── NotOtlpError         400
└── TracesOnlyError      404
"""

from producer_gateway.errors import RefusedError


class NotProtobufError(RefusedError):
    """The body is not an ExportTraceServiceRequest in protobuf."""

    code = "protobuf"


class NotOtlpError(RefusedError):
    """The body is not an ExportTraceServiceRequest in OTLP's JSON."""

    code = "otlp_json"


class TracesOnlyError(RefusedError):
    """Only traces are taken: set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, not OTEL_EXPORTER_OTLP_ENDPOINT, to send nothing else."""

    status = 404
    code = "traces_only"
