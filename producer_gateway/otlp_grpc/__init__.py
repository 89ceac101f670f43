"""OTLP in by gRPC: the same messages as at `/v1/traces`, with the same keys, stages and answers.

`server` is the door with its limits, `answers` says errors in gRPC's words.
"""
