"""The result of decoding a request: spans with the attributes that the mapping names. Nothing else of it is kept, or read.

Attributes that are not in the table are counted by the class of their name, never by name or value.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from producer_gateway.errors import BodyTooLargeError

Attributes = Mapping[str, object]
"""Attributes of the table by name: str, bool, int, float, or a tuple of str. None stands for any other type."""
CLASSES: Final = frozenset(
    {
        *("gen_ai", "llm", "openinference", "traceloop", "input", "output", "message", "tool", "retrieval", "embedding"),
        *("reranker", "agent", "session", "user", "metadata", "tag", "graph", "mcp", "http", "url", "net", "server", "client"),
        *("network", "db", "rpc", "messaging", "code", "thread", "service", "telemetry", "process", "host", "os", "k8s"),
        *(
            "container",
            "cloud",
            "deployment",
            "exception",
            "error",
            "otel",
            "langgraph",
            "logfire",
            "ai",
            "gcp",
            "crewai",
            "haystack",
        ),
        *("langsmith", "ag2", "mlflow", "langfuse", "agentops", "guardrail", "memory", "evaluation", "a2a"),
    }
)
"""First segments of well-known attribute names; every other name counts as `other`."""
DOCUMENTS: Final = "retrieval.documents"
"""Stands for OpenInference's numbered documents: decoding counts their keys. A span without any says nothing."""
CONTENT: Final = frozenset({"@arguments", "@result", "@answer"})
"""Targets of content that is looked at in memory: in protobuf not even decoded before it is needed."""
UNREMEMBERED: Final = frozenset({"@session", *CONTENT})
NAMES: Final = frozenset({"@agent", "@agent_version", "@tool"})
"""Targets whose values are counted when they were changed to fit."""
OTHER_CLASS: Final = "other"
NUMBERED_CLASS: Final = "retrieval"
"""The class whose names are read further: they number documents."""
EXCEPTION: Final = "exception"
"""The span event that is read, and of it one attribute alone."""
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
"""Looked at for a known error, and counted as left out like all others."""
ANSWERS_OF_EVENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "gen_ai.choice": {"finish_reason": "gen_ai.response.finish_reason"},
    "gen_ai.client.inference.operation.details": {
        name: name for name in ("gen_ai.response.finish_reasons", "gen_ai.output.messages")
    },
}
"""Span events that tell of a model's answer: which of their attributes stands for which of the span's."""
_DOCUMENT: Final = re.compile(r"retrieval\.documents\.([0-9]{1,6})\.")
_ENVELOPES_FACTOR: Final = 3
"""A resource and a scope for each span is the most that makes sense."""
ATTRIBUTES_PER_SPAN: Final = 32
"""On average, in a request of the most spans; the SDKs' own limit for one span is 128, and fewer spans have room for them."""
ITEMS_MAX: Final = 16
"""Items of an array attribute that are looked at."""


class MappedAttributes(msgspec.Struct, gc=False):
    """Attributes by target, in the form that their rows ask for."""

    marks: dict[str, Any]
    """Those of targets with a leading `@`."""
    metadata: dict[str, Any]


class Span(msgspec.Struct, gc=False):
    """One span. Ids are bytes of any length, times are nanoseconds of any size: nothing has been checked yet."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    flags: int
    name: str
    """Kept where it is a name; see `agenttracer.rules.span_names`."""
    start_ns: int
    end_ns: int
    failed: bool
    exception_type: str | None
    said: Attributes | None
    """None where decoding has placed the attributes already."""
    placed: MappedAttributes | None = None
    message: str = ""
    """Of a failed span's exception, else its description: looked at for a known error, in memory, and never kept."""


UNREADABLE: Final = Span(b"", b"", b"", 0, "", 0, 0, False, None, None)  # noqa: FBT003 - members in order
"""Stands for a span that is none at all, so that it is rejected alone."""


@dataclass(frozen=True, slots=True)
class ResourceSpans:
    """The spans of one resource."""

    resource: Attributes
    spans: list[Span]


@dataclass(slots=True)
class DecodedSpans:
    """A request's parts. `spans_max` bounds spans, and resources and scopes as well: empty ones cost time too."""

    spans_max: int
    parts: list[ResourceSpans] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    """Values that decoding placed and that did not fit, by rule."""
    spans: int = 0
    seen: int = 0
    attributes: int = 0

    def part(self, resource: Attributes) -> ResourceSpans:
        """A new part, for spans to be added to. Raises BodyTooLargeError."""
        self.announce(1)
        part = ResourceSpans(resource, [])
        self.parts.append(part)
        return part

    def announce(self, count: int) -> None:
        """Say that so many spans or scopes follow, before any is decoded. Raises BodyTooLargeError."""
        self.seen += count
        if self.seen > _ENVELOPES_FACTOR * self.spans_max:
            raise BodyTooLargeError(code="too_many_spans")

    def announce_spans(self, count: int) -> None:
        """As `announce`, for the spans of a scope, which are bounded by themselves too. Raises BodyTooLargeError."""
        self.spans += count
        self.announce(1 + count)
        if self.spans > self.spans_max:
            raise BodyTooLargeError(code="too_many_spans")

    def announce_attributes(self, count: int) -> None:
        """Say that so many attributes follow, before any is looked at. Raises BodyTooLargeError."""
        self.attributes += count
        if self.attributes > ATTRIBUTES_PER_SPAN * self.spans_max:
            raise BodyTooLargeError(code="too_many_attributes")

    def leave_out(self, name: str) -> str:
        """Count an attribute that is not in the table: under the class that is answered."""
        segment = name.partition(".")[0]
        name_class = segment if segment in CLASSES else OTHER_CLASS
        self.left_out[name_class] += 1
        return name_class

    def leave_out_of_span(self, name: str, found: dict[str, object]) -> str:
        """As `leave_out`. A document's leaves its number behind, as what was found."""
        name_class = self.leave_out(name)
        if name_class == NUMBERED_CLASS and (numbered := _DOCUMENT.match(name)) is not None:
            found[DOCUMENTS] = max(int(numbered[1]) + 1, cast("int", found.get(DOCUMENTS, 0)))
        return name_class
