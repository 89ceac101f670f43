"""The batch and the answers as JSON Schema, for the OpenAPI document. Generated from the contract's annotations, never by hand.

`POST /v1/events` reads its body itself, so FastAPI cannot know what it takes; this says it, constraints and all.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from agenttracer.wire import form
from agenttracer.wire.envelope import BATCH_MAX_EVENTS, SUPPORTED, Batch, Producer
from agenttracer.wire.events import EVENT_KINDS, METADATA_MAX_KEYS, NESTED, Form, Metadata
from producer_gateway.events import run_document
from servicekit.auth.openapi import declare_keys

_REF: Final = "#/components/schemas/"
_PATTERNS: Final[Mapping[str, str]] = {
    "name": form.NAME_PATTERN,
    "code": form.CODE_PATTERN,
    "run_id": form.RUN_ID_PATTERN,
    "step_id": form.STEP_ID_PATTERN,
    "fingerprint": form.FINGERPRINT_PATTERN,
    "work_digest": form.STEP_ID_PATTERN,
    "session_digest": form.FINGERPRINT_PATTERN,
    "currency": form.CURRENCY_PATTERN,
}
BATCH_EXAMPLE: Final[dict[str, Any]] = {
    "v": "1.0",
    "producer": {"id": "p-4f2a", "agent": "support-agent", "agent_version": "1.4.2", "sdk": "python-0.1.0"},
    "events": [
        {"type": "run_started", "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "seq": 0, "started_at": 1768469400000000},
        {
            "type": "step_finished",
            "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0",
            "seq": 1,
            "step_id": "b7ad6b7169203331",
            "kind": "tool",
            "name": "refund-api",
            "started_at": 1768469400200000,
            "duration_us": 5000000,
            "status": "error",
            "evidence": {"error_class": "ReadTimeout"},
            "metadata": {"amount_cents": 4200},
        },
        {
            "type": "run_finished",
            "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0",
            "seq": 2,
            "ended_at": 1768469405300000,
            "status": "failure",
            "emitted": 3,
        },
    ],
}


def batch_body() -> dict[str, Any]:
    """The `requestBody` of `POST /v1/events`."""
    media = {"schema": {"$ref": f"{_REF}Batch"}, "example": BATCH_EXAMPLE}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def run_body() -> dict[str, Any]:
    """The `requestBody` of `POST /v1/runs`."""
    examples = {"failed": {"value": run_document.EXAMPLE}, "minimal": {"value": run_document.MINIMAL_EXAMPLE}}
    media = {"schema": {"$ref": f"{_REF}RunDocument"}, "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def describe(app: FastAPI, *, anonymous: bool, schemas: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """The OpenAPI document of `app`, with the contract's schemas and those of other routes. Made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        document.setdefault("components", {}).setdefault("schemas", {}).update(
            {**contract_schemas(), **_run_schemas(), **schemas()}
        )
        declare_keys(document, anonymous=anonymous)
        app.openapi_schema = document
    return app.openapi_schema


def contract_schemas() -> dict[str, Any]:
    """Schemas of the batch, its producer and every kind of event, by name."""
    schemas = {target.__name__: _object(target) for target in (Producer, *NESTED, *EVENT_KINDS)}
    refs = {kind.type: f"{_REF}{kind.__name__}" for kind in EVENT_KINDS}
    events = {"oneOf": [{"$ref": ref} for ref in refs.values()], "discriminator": {"propertyName": "type", "mapping": refs}}
    schemas["Batch"] = {
        "type": "object",
        "description": Batch.__doc__,
        "required": ["v", "producer", "events"],
        "properties": {
            "v": {"type": "string", "pattern": r"^1\.(0|[1-9][0-9]{0,3})$", "description": f"Supported: {SUPPORTED}."},
            "producer": {"$ref": f"{_REF}Producer"},
            "events": {"type": "array", "items": events, "minItems": 1, "maxItems": BATCH_MAX_EVENTS},
        },
    }
    return schemas


def _run_schemas() -> dict[str, Any]:
    document = run_document.RunDocument.model_json_schema(ref_template=f"{_REF}{{model}}")
    return {**document.pop("$defs"), "RunDocument": document}


def _object(target: type) -> dict[str, Any]:
    hints = typing.get_type_hints(target, include_extras=True)
    members = {member.name: _member(member, hints[member.name]) for member in dataclasses.fields(target)}
    required = [member.name for member in dataclasses.fields(target) if _is_required(member)]
    tag = getattr(target, "type", None)
    if tag is not None:
        members = {"type": {"const": tag}, **members}
        required = ["type", *required]
    return {"type": "object", "description": target.__doc__, "required": required, "properties": members}


def _member(member: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:  # noqa: ANN401 - annotations have no narrower type
    """A member that may be absent may also be null, which means the same."""
    schema = _schema(hint)
    return schema if _is_required(member) else {"anyOf": [schema, {"type": "null"}]}


def _is_required(member: "dataclasses.Field[Any]") -> bool:
    return member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING


def _schema(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - annotations have no narrower type
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _schema(next(member for member in typing.get_args(hint) if member is not type(None)))
    if hint == Metadata:
        label = {"type": "string", "pattern": f"^{form.NAME_PATTERN}$"}
        values = {"anyOf": [{"type": "boolean"}, {"type": "integer", "format": "int64"}, {"type": "number"}, label]}
        return {"type": "object", "maxProperties": METADATA_MAX_KEYS, "additionalProperties": values}
    if typing.get_origin(hint) is typing.Annotated:
        constraint = hint.__metadata__[0]
        if isinstance(constraint, Form):
            return {"type": "string", "pattern": f"^{_PATTERNS[constraint.rule]}$", "maxLength": constraint.max_chars}
        return {"type": "integer", "minimum": constraint.low, "maximum": constraint.high}
    if issubclass(hint, StrEnum):
        return {"type": "string", "enum": [str(member) for member in hint]}
    return {"$ref": f"{_REF}{hint.__name__}"}
