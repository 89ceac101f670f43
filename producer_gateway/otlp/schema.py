"""OTLP's request in JSON as JSON Schema, for the OpenAPI document: made from the structs that read it, it names what is read.

Any other member is allowed and skipped. A body that the schema allows is answered with 200. Spans whose ids or times cannot be
stored are counted as rejected in that answer.
"""

from typing import Any, Final

import msgspec

from producer_gateway.otlp.json_request import JsonRequest

_REF: Final = "#/components/schemas/"
REQUEST: Final = {"$ref": f"{_REF}OtlpJsonRequest"}
"""The schema of a body in JSON."""


def otlp_schemas() -> dict[str, Any]:
    """The request and everything in it, by name."""
    (_,), found = msgspec.json.schema_components([JsonRequest], ref_template=f"{_REF}{{name}}")
    named: dict[str, Any] = _renamed(found)
    return {_name(name): {key: value for key, value in schema.items() if key != "title"} for name, schema in named.items()}


def _renamed(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """References by the names that the document uses."""
    if isinstance(value, dict):
        return {key: _REF + _name(each.removeprefix(_REF)) if key == "$ref" else _renamed(each) for key, each in value.items()}
    return [_renamed(each) for each in value] if isinstance(value, list) else value


def _name(struct: str) -> str:
    return f"Otlp{struct}" if struct in {"JsonRequest", "JsonSpan"} else f"Otlp{struct.removeprefix('_').removeprefix('Json')}"
