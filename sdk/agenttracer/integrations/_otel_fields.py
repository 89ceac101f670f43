"""Reads OpenTelemetry spans: the attributes in these tables, by key, and the type of an exception. Nothing else.

Conventions, in their order of precedence: OpenTelemetry's GenAI, OpenInference, OpenLLMetry (Traceloop).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from agenttracer.integrations._labels import count, label, only
from agenttracer.rules.error_classes import error_class, is_code
from agenttracer.rules.finish_reasons import finish_reason
from agenttracer.rules.span_attributes import ANSWERS, CALLS, COUNTS, HTTP_STATUS, KIND_WORDS, LABELS, NAMES, REASONS
from agenttracer.rules.span_kinds import COMPONENTS, SIGNALS, SPAN_TYPES, KnownKind, known_as
from agenttracer.rules.span_names import kept_name, route_path, step_name
from agenttracer.wire.events import Evidence, MetadataValue

Attributes = Mapping[str, object]

_DOCUMENT: Final = "retrieval.documents."
_STATUS: Final = range(100, 600)
_KNOWN_WORDS: Final = dict(SIGNALS)
_OPERATION: Final = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "ai.operationId")


def known(attributes: Attributes, span_name: str) -> tuple[KnownKind, str]:
    """The kind of step of a span, and its name, by the rules that the gateway reads spans by.

    A name of a tool or agent that has not the form of names is none here: unlike one that the agent's own code gives, it was
    not meant for AgentTracer.
    """
    said = _said(attributes)
    found = known_as({**said, **_answered(attributes)}, span_name, finish_reason=_reason(attributes))
    operation = label(attributes.get("gen_ai.operation.name"))
    if found.word == "span" and operation is not None:
        return found, operation
    return found, step_name(found, said, span_name)


def _answered(attributes: Attributes) -> dict[str, object]:
    """What tells that the model's answer calls tools: looked at, and not kept."""
    answer = next((attributes[key] for key in ANSWERS if key in attributes), None)
    return {**({"@answer": answer} if answer else {}), **({"@calls": True} if any(map(attributes.get, CALLS)) else {})}


def _said(attributes: Attributes) -> dict[str, str]:
    """What the span's attributes say of its kind and names, by what it is."""
    said = {target: word for target, names in KIND_WORDS.items() if (word := _word(target, attributes, names)) is not None}
    for target, names in NAMES.items():
        values = (attributes.get(name) for name in names)
        read = route_path if target == "@route" else _name
        found = next((name for value in values if (name := read(value)) is not None), None)
        if found is not None:
            said[target] = found
    return said


def _word(target: str, attributes: Attributes, names: Sequence[str]) -> str | None:
    """The first word of the closed table; of the protocols, any."""
    for value in map(attributes.get, names):
        if isinstance(value, str) and (word := _as_known(target, value)) is not None:
            return word
    return None


def _as_known(target: str, value: str) -> str | None:
    if target == "@component":
        return next((end for end in COMPONENTS if value.endswith(end)), "component")
    if target == "@span_type":
        plain = value.strip('"').lower()
        return plain if plain in SPAN_TYPES else None
    words = _KNOWN_WORDS.get(target)
    return value if words is None or value in words else None


def _name(value: object) -> str | None:
    return kept_name(value) if isinstance(value, str) else None


def details(attributes: Attributes) -> dict[str, MetadataValue]:
    """Model, provider, token counts, finish reason, number of documents."""
    labels = {key: label(*map(attributes.get, sources)) for key, sources in LABELS.items()}
    counts = {key: _count(*map(attributes.get, sources)) for key, sources in COUNTS.items()}
    return only(
        operation=label(*map(attributes.get, _OPERATION)),
        **labels,
        **counts,
        finish_reason=_reason(attributes),
        result_count=_documents(attributes),
    )


def error_of(attributes: Attributes, exception_type: object) -> Evidence:
    """Evidence of a span that ended in an error: its `error.type`, HTTP status, and the type of the exception it recorded."""
    said = error_class(attributes.get("error.type"))
    status = count(*map(attributes.get, HTTP_STATUS), int(said) if said is not None and said.isdigit() else None)
    code = said if said is not None and is_code(said) else None
    return Evidence(
        error_class=error_class(exception_type) or (said if code is None else None),
        error_code=code,
        http_status=status if status in _STATUS else None,
    )


def _reason(attributes: Attributes) -> str | None:
    return next((found for key in REASONS if (found := finish_reason(attributes.get(key))) is not None), None)


def _count(*candidates: object) -> int | None:
    """Also of doubles that are whole, and of digits."""
    return count(*(_whole(value) for value in candidates))


def _whole(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and len(value) < _DIGITS_MAX and value.isascii() and value.isdigit() else value


_DIGITS_MAX: Final = 19


def _documents(attributes: Attributes) -> int | None:
    """OpenInference numbers the documents in the keys. A span without such keys may still have found some: then None."""
    numbers = {key[len(_DOCUMENT) :].partition(".")[0] for key in attributes if key.startswith(_DOCUMENT)}
    return len(numbers) or None
