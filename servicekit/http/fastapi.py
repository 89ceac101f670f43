"""FastAPI's settings that are the same in every service."""

from typing import Final

from fastapi.telemetry import TelemetryConfig

NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would send addresses and errors of requests to wherever OTEL_* points, and asks at every request whether to."""
