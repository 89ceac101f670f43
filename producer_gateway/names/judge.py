"""The last look at names before events are published: detectors and pseudonyms for all, and the registry for closed projects."""

from collections.abc import Generator
from functools import lru_cache
from typing import Final

from agenttracer.rules.names.pseudonyms import Pseudonyms, project_key
from producer_gateway.errors import NameKeyMissingError, NamesUnavailableError
from producer_gateway.events.name_lock import locking
from producer_gateway.events.validate import ValidBatch
from producer_gateway.names.closed import closing
from producer_gateway.names.registry import AllowedNames

_PROJECTS_REMEMBERED: Final = 1_024


class NameJudge:
    """Judges in the name of a project. Without a `name_key` there are no pseudonyms, and closed projects cannot send."""

    def __init__(self, registry: AllowedNames, name_key: str | None) -> None:
        self._registry = registry
        self._name_key = name_key
        self._pseudonyms = lru_cache(maxsize=_PROJECTS_REMEMBERED)(self._made)

    def refuse_unready(self, project: str) -> None:
        """Raises NamesUnavailableError, NameKeyMissingError."""
        if self._registry.unready() is not None:
            raise NamesUnavailableError
        if self._name_key is None and self._registry.allowed(project) is not None:
            raise NameKeyMissingError

    def judging(self, checked: ValidBatch, project: str) -> Generator[None, None, ValidBatch]:
        """Returns the batch as it may be published, and yields where others may have a turn.

        Raises UnprocessableError, NameKeyMissingError.
        """
        pseudonyms = self._pseudonyms(project)
        batch = yield from locking(checked, pseudonyms)
        allowed = self._registry.allowed(project)
        if allowed is None:
            return batch
        if pseudonyms is None:
            raise NameKeyMissingError
        return (yield from closing(batch, allowed, pseudonyms))

    def _made(self, project: str) -> Pseudonyms | None:
        return None if self._name_key is None else Pseudonyms(project_key(self._name_key, project).encode())
