"""Writes `docs/settings.md` from the services' settings classes: `make settings-page`. A test says when it is out of date."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings

from agenttracer_cli.local.kafka_access import KafkaAccess
from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from stream_workers.settings import WorkerSettings

PAGE: Final = Path(__file__).parents[2] / "docs" / "settings.md"
_SERVICES: Final[tuple[tuple[str, type[BaseSettings]], ...]] = (
    ("Gateway: `python -m producer_gateway`", GatewaySettings),
    ("Worker: `python -m stream_workers`", WorkerSettings),
    ("Query service: `python -m query_service`", QuerySettings),
    ("The command: `agenttracer topics` and `agenttracer up` with `--kafka`", KafkaAccess),
)
_UNSAID: Final[Mapping[str, str]] = {
    "protocol": "What Kafka calls `security.protocol`.",
    "key_file": "The key of `cert_file`; the two come together.",
    "username": "Needed with SASL.",
    "password": "Needed with SASL.",
}
"""Fields of parts that need no reason where they stand."""
_HEAD: Final = """# Settings of the services

Each process reads all its settings from environment variables when it starts. A variable that is like a setting but is none is
refused. `make settings-page` writes this page from the settings classes; the last column gives the reason for the default.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(title, settings) for title, settings in _SERVICES)])


def _section(title: str, settings: type[BaseSettings]) -> str:
    return "\n".join([f"## {title}\n", "| variable | default | why |", "|---|---|---|", *_rows(settings), ""])


def _rows(settings: type[BaseSettings]) -> Iterator[str]:
    prefix = settings.model_config.get("env_prefix", "")
    delimiter = settings.model_config.get("env_nested_delimiter", "")
    reasons = _reasons(settings)
    for name, field in settings.model_fields.items():
        variable, default = f"{prefix}{name.upper()}", field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield f"| `{variable}{delimiter}…` | as follows | {reasons[name]} |"
            yield from _rows_of_part(f"{variable}{delimiter}", type(default))
        else:
            yield f"| `{variable}` | {_shown(default, required=field.is_required())} | {reasons[name]} |"


def _rows_of_part(prefix: str, part: type[BaseModel]) -> Iterator[str]:
    reasons = {**_UNSAID, **_reasons(part)}
    for name, field in part.model_fields.items():
        words = [reasons[name]]
        if isinstance(field.default, StrEnum):
            words.append(f"One of {', '.join(f'`{value}`' for value in type(field.default))}.")
        yield f"| `{prefix}{name.upper()}` | {_shown(field.default, required=field.is_required())} | {' '.join(words)} |"


def _shown(default: object, *, required: bool) -> str:
    if required:
        return "(required)"
    if default is None:
        return "(none)"
    if isinstance(default, SecretStr):
        return f"`{default.get_secret_value()}`"
    return f"`{default}`"


def _reasons(settings: type[BaseModel]) -> dict[str, str]:
    """The string that follows each field in its class. Raises KeyError on use where one is missing."""
    body = ast.parse(inspect.getsource(settings)).body[0]
    assert isinstance(body, ast.ClassDef)
    reasons: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            reasons[field.target.id] = " ".join(str(after.value.value).split())
    return reasons


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
