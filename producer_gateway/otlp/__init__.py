"""OTLP in: what OpenTelemetry exporters post to `/v1/traces`, rebuilt as the contract's events.

`route` is the way in, `decode_protobuf` and `decode_json` pick from the bytes what `table` names and nothing else, `step`
reads one span, `trace` puts the spans of a request together, `answer` speaks OTLP back.
"""
