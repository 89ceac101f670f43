"""What integrations say goes the way of everything else: through queue, sender and sampling to the gateway."""

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from opentelemetry.sdk.trace import TracerProvider

from agenttracer.integrations.langchain import AgentTracerCallbackHandler
from agenttracer.integrations.opentelemetry import AgentTracerSpanProcessor
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer


@tool
def risky(a: int) -> int:
    """Divide."""
    return 1 // a


def test_runs_of_frameworks_arrive_whole(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Start, steps and end are accepted, and the end counts them."""
    tracer = new_tracer()
    config: RunnableConfig = {"callbacks": [AgentTracerCallbackHandler(tracer)]}
    (RunnableLambda(lambda a: risky.invoke({"a": a})) | RunnableLambda(str)).invoke(1, config)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentTracerSpanProcessor(tracer))
    with provider.get_tracer("t").start_as_current_span("root"), provider.get_tracer("t").start_as_current_span("child"):
        pass
    assert provider.force_flush()
    assert sorted(end["emitted"] for end in gateway.of_kind("run_finished")) == [3, 5]
    assert len(gateway.events) == 8
    assert tracer.stats().internal_errors == 0


def test_sampling_keeps_the_runs_that_failed(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """At a rate of 0 a run that succeeds is left out, and one that fails is sent with all its steps."""
    tracer = new_tracer(sample_rate=0.0)
    config: RunnableConfig = {"callbacks": [AgentTracerCallbackHandler(tracer)]}
    risky.invoke({"a": 1}, config)
    with pytest.raises(ZeroDivisionError):
        risky.invoke({"a": 0}, config)
    assert tracer.flush().complete
    assert sorted(event["type"] for event in gateway.events) == ["run_finished", "run_started", "step_finished"]
    assert gateway.of_kind("run_finished")[0]["status"] == "failure"
