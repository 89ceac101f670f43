"""Whose data a request may see: the project of its key. Everything that reads data depends on it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import Request

from query_service.errors import ForbiddenError, KeysUnavailableError, QueryError, UnauthenticatedError
from servicekit.access import Access, Refusal

ReadingProject = Callable[..., Awaitable[str]]
"""A FastAPI dependency that gives the project of a request."""
_REFUSALS: Final[Mapping[Refusal, type[QueryError]]] = {
    Refusal.UNAUTHENTICATED: UnauthenticatedError,
    Refusal.FORBIDDEN: ForbiddenError,
    Refusal.UNAVAILABLE: KeysUnavailableError,
}


def of_key(access: Access) -> ReadingProject:
    """The project of whom `access` passes."""

    async def reading_project(request: Request) -> str:
        caller = access.caller(request.scope["headers"])
        if isinstance(caller, Refusal):
            raise _REFUSALS[caller]
        return caller.project

    return reading_project
