"""OpenTelemetry's SDK as an agent's program sets it up: resource and endpoint come from the environment."""

from collections.abc import Callable

import scenario
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def provider() -> TracerProvider:
    """The program's provider, made the global one."""
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    return made


def both(run: Callable[[str], object]) -> None:
    """The run that ends well, then the one that fails; everything is exported before this returns."""
    scenario.begin()
    run(scenario.QUESTION)
    scenario.begin()
    try:
        run(scenario.FAILING_QUESTION)
    except Exception as error:  # the frameworks' own classes
        print(f"failed as it should: {type(error).__name__}")
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
