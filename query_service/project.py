"""Whose data a request may see. Until keys come everybody is anonymous and sees the one project of the settings."""

from collections.abc import Awaitable, Callable

ReadingProject = Callable[..., Awaitable[str]]
"""A FastAPI dependency that gives the project of a request."""


def anonymous(project: str) -> ReadingProject:
    """Everybody sees `project`."""

    async def reading_project() -> str:
        return project

    return reading_project
