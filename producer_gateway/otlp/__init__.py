"""OTLP in: what OpenTelemetry exporters post to `/v1/traces`, rebuilt as the contract's events.

`routes` is the way in. `decode_protobuf` and `decode_json` take what `mapping` names from the bytes and nothing else, `step`
reads one span, `convert` makes events of the spans of a request, and `responses` answers in OTLP.
"""
