"""LangChain and LangGraph: a callback handler that makes runs and steps of what they do. `_langchain_reading` says what it reads.

A root chain, graph, model, tool or retriever is a run, or a step of the run that the calling code is in. Nesting follows
LangChain's own run ids, so threads, tasks and executors do not matter.
"""

from collections.abc import Collection, Mapping
from time import perf_counter_ns
from typing import Final
from uuid import UUID

from agenttracer import AgentTracer
from agenttracer.integrations import _langchain_reading as reading
from agenttracer.integrations._labels import only
from agenttracer.integrations._spans import Opening
from agenttracer.integrations._trail import Trail, guarded
from agenttracer.wire.events import Evidence
from agenttracer.wire.vocabulary import StepKind

try:
    from langchain_core.callbacks import BaseCallbackHandler
except ImportError as missing:
    raise ImportError("agenttracer.integrations.langchain needs LangChain: pip install langchain-core") from missing

_TOOL_ERROR: Final = Evidence(error_code="tool_error")
"""Of a tool that made an error message for the model out of its exception: the class is gone by then."""

_NAMELESS: Final = {
    StepKind.OTHER: "chain",
    StepKind.RESPOND: "model",
    StepKind.TOOL: "tool",
    StepKind.RETRIEVE: "retriever",
}
"""Names of components that LangChain says no name of, such as LangGraph's routing functions under async."""


class AgentTracerCallbackHandler(BaseCallbackHandler):
    """Pass it as a callback: `graph.invoke(state, config={"callbacks": [AgentTracerCallbackHandler(tracer)]})`.

    One handler serves any number of invocations, threads and event loops. Chains and graph nodes are steps of kind `other`,
    tools `tool`, retrievers `retrieve`; a model call is `plan` when its message calls tools, else `respond`. Of the
    `metadata` of invocations only what stands under `metadata_keys` is kept, and only labels, numbers and booleans.
    """

    run_inline = True
    """In the caller's own thread, also for async: nothing here waits, and the order of callbacks is kept."""

    def __init__(self, tracer: AgentTracer, *, metadata_keys: Collection[str] = ()) -> None:
        self.trail = Trail(tracer, framework="langchain")
        self.raise_error = self.trail.strict
        self._metadata_keys = tuple(metadata_keys)

    @guarded
    def on_chain_start(
        self,
        serialized: object,
        inputs: object,  # noqa: ARG002 - content
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A chain, graph or node starts. LangGraph's plumbing is passed through."""
        is_hidden = reading.HIDDEN_TAG in reading.tags_of(about)
        if not (is_hidden and self.trail.pass_through(run_id, outer_key=parent_run_id)):
            self._start(StepKind.OTHER, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_chat_model_start(
        self,
        serialized: object,
        messages: object,  # noqa: ARG002 - content
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A chat model is asked."""
        self._start(StepKind.RESPOND, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_llm_start(
        self,
        serialized: object,
        prompts: object,  # noqa: ARG002 - content
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A completion model is asked."""
        self._start(StepKind.RESPOND, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_tool_start(
        self,
        serialized: object,
        input_str: object,  # noqa: ARG002 - content
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A tool is called."""
        self._start(StepKind.TOOL, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_retriever_start(
        self,
        serialized: object,
        query: object,  # noqa: ARG002 - content
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A retriever is asked."""
        self._start(StepKind.RETRIEVE, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_llm_new_token(self, token: object, *, run_id: UUID, **_about: object) -> None:  # noqa: ARG002 - content
        """Something was streamed: of the first token the time is kept, of the others nothing."""
        opened = self.trail.find(run_id)
        if opened is not None and not opened.mark:
            opened.mark = perf_counter_ns()

    @guarded
    def on_chain_end(self, outputs: object, *, run_id: UUID, **_about: object) -> None:  # noqa: ARG002 - content
        """A chain, graph or node ended."""
        self.trail.end(run_id)

    @guarded
    def on_llm_end(self, response: object, *, run_id: UUID, **_about: object) -> None:
        """A model answered."""
        kind = StepKind.PLAN if reading.decides(response) else StepKind.RESPOND
        self.trail.end(run_id, kind=kind, metadata={**reading.answered(response), **self._streaming(run_id)})

    @guarded
    def on_tool_end(self, output: object, *, run_id: UUID, **_about: object) -> None:
        """A tool answered, or made an error message of its exception."""
        self.trail.end(run_id, fault=_TOOL_ERROR if reading.is_error_message(output) else None)

    @guarded
    def on_retriever_end(self, documents: object, *, run_id: UUID, **_about: object) -> None:
        """A retriever answered: the documents are counted."""
        found = len(documents) if isinstance(documents, list | tuple) else None
        self.trail.end(run_id, metadata=only(result_count=found))

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A chain, graph or node raised, was interrupted to ask a person, or is not read on."""
        self._raised(error, run_id)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A model raised. What it had streamed until then is not looked at."""
        self._raised(error, run_id)

    @guarded
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A tool raised."""
        self._raised(error, run_id)

    @guarded
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A retriever raised."""
        self._raised(error, run_id)

    @guarded
    def on_retry(self, retry_state: object, *, run_id: UUID, **_about: object) -> None:
        """A model is asked again inside one call."""
        opened = self.trail.find(run_id)
        if opened is not None and opened.step is not None:
            opened.step.metadata = {**(opened.step.metadata or {}), **reading.retried(retry_state)}

    def _start(
        self, kind: StepKind, serialized: object, about: Mapping[str, object], *, run_id: UUID, parent_run_id: UUID | None
    ) -> None:
        name = self.trail.name(reading.name_of(serialized, about.get("name")), otherwise=_NAMELESS[kind])
        metadata = reading.placed(about.get("metadata"), self._metadata_keys)
        if kind is StepKind.RESPOND:
            metadata |= reading.asked(about)
        attempt = reading.attempt_of(about)
        opening = Opening(kind=kind, name=name, metadata=metadata, attempt=attempt)
        self.trail.start(run_id, opening, outer_key=parent_run_id)

    def _streaming(self, run_id: UUID) -> dict[str, int]:
        opened = self.trail.find(run_id)
        if opened is None or opened.step is None or not opened.mark:
            return {}
        return {"first_token_ms": (opened.mark - opened.step.began_ns) // 1_000_000}

    def _raised(self, error: BaseException, run_id: UUID) -> None:
        metadata = {"interrupted": True} if reading.is_interrupt(error) else {}
        self.trail.end(run_id, fault=error, metadata={**metadata, **self._streaming(run_id)})
