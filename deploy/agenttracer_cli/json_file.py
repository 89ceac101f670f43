"""The file for the result of a proof: its path is tested before hours of work and written after them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from agenttracer_cli.outcome import EXIT_COULD_NOT
from agenttracer_cli.output import show_error


def json_file_at(path: Path | None) -> Callable[[Any], None]:
    """Give a function that writes a document to the path, or does nothing without one. An older file stays until then.

    Ends with exit code 2 where the file cannot be written: Python's own 1 would say that the store differs.
    """
    if path is None:
        return lambda _: None
    try:
        _try(path)
    except OSError as error:
        show_error(f"--json: the file cannot be written ({type(error).__name__}); nothing was begun")
        raise typer.Exit(EXIT_COULD_NOT) from None
    return lambda document: _write(path, document)


def _try(path: Path) -> None:
    """Leaves no empty file behind, which a script could take for an answer. Raises OSError."""
    existed = path.exists()
    if existed and not path.is_dir() and not path.is_file():
        return  # a pipe would be at its end once we had closed it
    path.open("a").close()
    if not existed:
        path.unlink()


def _write(path: Path, document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        show_error(f"--json: the file could not be written ({type(error).__name__})")
        raise typer.Exit(EXIT_COULD_NOT) from None
