"""LangChain and LangGraph: a callback handler that makes runs and steps of their runs. `_langchain_fields` reads their objects.

A root chain, graph, model, tool or retriever is a run, or a step of the run that the calling code is in. Nesting follows
LangChain's own run ids, so threads, tasks and executors do not matter.
"""

from collections.abc import Collection, Mapping
from time import perf_counter_ns
from typing import Final
from uuid import UUID

from agenttracer import AgentTracer
from agenttracer.integrations import _langchain_fields as fields
from agenttracer.integrations._labels import only
from agenttracer.integrations._span_tracker import SpanTracker, guarded
from agenttracer.integrations._spans import SpanStart
from agenttracer.wire.vocabulary import StepKind

try:
    from langchain_core.callbacks import BaseCallbackHandler
except ImportError as missing:
    raise ImportError("agenttracer.integrations.langchain needs LangChain: pip install langchain-core") from missing

_NAMELESS: Final = {
    StepKind.OTHER: "chain",
    StepKind.RESPOND: "model",
    StepKind.TOOL: "tool",
    StepKind.RETRIEVE: "retriever",
}
"""Names of components that LangChain gives no name, such as LangGraph's routing functions under async."""


class AgentTracerCallbackHandler(BaseCallbackHandler):
    """Pass it as a callback: `graph.invoke(state, config={"callbacks": [AgentTracerCallbackHandler(tracer)]})`.

    One handler serves any number of invocations, threads and event loops. Chains and graph nodes are steps of kind `other`,
    tools `tool`, retrievers `retrieve`; a model call is `plan` when its message calls tools, else `respond`. Of the
    `metadata` of invocations only the values under `metadata_keys` are kept, and only labels, numbers and booleans.
    """

    run_inline = True
    """Called in the caller's own thread, also for async: nothing here waits, and the callbacks keep their order."""

    def __init__(self, tracer: AgentTracer, *, metadata_keys: Collection[str] = ()) -> None:
        self.tracker = SpanTracker(tracer, framework="langchain")
        self.raise_error = self.tracker.strict
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
        """A chain, graph or node starts. LangGraph's internal nodes make no step."""
        is_hidden = fields.HIDDEN_TAG in fields.tags_of(about)
        if not (is_hidden and self.tracker.pass_through(run_id, outer_key=parent_run_id)):
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
        """A call of a chat model starts."""
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
        """A call of a completion model starts."""
        self._start(StepKind.RESPOND, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_tool_start(
        self,
        serialized: object,
        input_str: object,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **about: object,
    ) -> None:
        """A call of a tool starts. Of its arguments a digest is made, by which a later attempt is recognised."""
        work = about.get("inputs") or input_str
        self._start(StepKind.TOOL, serialized, about, run_id=run_id, parent_run_id=parent_run_id, work=work)

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
        """A call of a retriever starts."""
        self._start(StepKind.RETRIEVE, serialized, about, run_id=run_id, parent_run_id=parent_run_id)

    @guarded
    def on_llm_new_token(self, token: object, *, run_id: UUID, **_about: object) -> None:  # noqa: ARG002 - content
        """A token was streamed. Only the time of the first one is kept."""
        opened = self.tracker.find(run_id)
        if opened is not None and not opened.mark:
            opened.mark = perf_counter_ns()

    @guarded
    def on_chain_end(self, outputs: object, *, run_id: UUID, **_about: object) -> None:  # noqa: ARG002 - content
        """A chain, graph or node ended."""
        self.tracker.end(run_id)

    @guarded
    def on_llm_end(self, response: object, *, run_id: UUID, **_about: object) -> None:
        """A model answered."""
        kind = StepKind.PLAN if fields.calls_tools(response) else StepKind.RESPOND
        self.tracker.end(run_id, kind=kind, metadata={**fields.result_metadata(response), **self._streaming(run_id)})

    @guarded
    def on_tool_end(self, output: object, *, run_id: UUID, **_about: object) -> None:
        """A tool answered, perhaps by returning an error. Of the result no more than that is read."""
        returned = self.tracker.returned_error(fields.tool_result(output), flagged=fields.is_error_message(output))
        self.tracker.end(run_id, returned=returned)

    @guarded
    def on_retriever_end(self, documents: object, *, run_id: UUID, **_about: object) -> None:
        """A retriever answered: the documents are counted."""
        found = len(documents) if isinstance(documents, list | tuple) else None
        self.tracker.end(run_id, metadata=only(result_count=found))

    @guarded
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A chain, graph or node raised, was interrupted to ask a person, or its stream was not read to the end."""
        self._raised(error, run_id)

    @guarded
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_about: object) -> None:
        """A model raised. The text streamed until then is not read."""
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
        """A model is called again inside one call."""
        opened = self.tracker.find(run_id)
        if opened is not None and opened.step is not None:
            opened.step.metadata = {**(opened.step.metadata or {}), **fields.retry_metadata(retry_state)}

    def _start(
        self,
        kind: StepKind,
        serialized: object,
        about: Mapping[str, object],
        *,
        run_id: UUID,
        parent_run_id: UUID | None,
        work: object = None,
    ) -> None:
        name = self.tracker.name(fields.name_of(serialized, about.get("name")), otherwise=_NAMELESS[kind])
        metadata = fields.graph_metadata(about.get("metadata"), self._metadata_keys)
        if kind is StepKind.RESPOND:
            metadata |= fields.model_metadata(about)
        attempt = fields.attempt_of(about)
        start = SpanStart(kind=kind, name=name, metadata=metadata, attempt=attempt, work=work)
        self.tracker.start(run_id, start, outer_key=parent_run_id)

    def _streaming(self, run_id: UUID) -> dict[str, int]:
        opened = self.tracker.find(run_id)
        if opened is None or opened.step is None or not opened.mark:
            return {}
        return {"first_token_ms": (opened.mark - opened.step.began_ns) // 1_000_000}

    def _raised(self, error: BaseException, run_id: UUID) -> None:
        metadata = {"interrupted": True} if fields.is_interrupt(error) else {}
        self.tracker.end(run_id, fault=error, metadata={**metadata, **self._streaming(run_id)})
