"""What only the OTLP route objects to; see `producer_gateway.errors`.

RefusedError
├── NotProtobufError     400
└── NotOtlpError         400
"""

from producer_gateway.errors import RefusedError


class NotProtobufError(RefusedError):
    """The body is not an ExportTraceServiceRequest in protobuf."""

    code = "protobuf"


class NotOtlpError(RefusedError):
    """The body is not an ExportTraceServiceRequest in OTLP's JSON."""

    code = "otlp_json"
