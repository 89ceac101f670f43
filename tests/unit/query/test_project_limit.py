"""Questions of one project wait for each other, and for nobody else's."""

import asyncio

import pytest

from query_service.errors import ProjectBusyError
from query_service.store.project_limit import ProjectLimit

pytestmark = pytest.mark.anyio


async def test_one_project_waits_for_itself() -> None:
    """What a project has open is counted for it alone; the next one waits, and is refused when none is free in time."""
    limit = ProjectLimit(at_once=2, wait_s=0.05)
    async with limit.slot("a"), limit.slot("a"):
        with pytest.raises(ProjectBusyError):
            async with limit.slot("a"):
                pass
        async with limit.slot("b"):
            pass
    async with limit.slot("a"):
        pass


async def test_a_free_turn_goes_to_who_waits() -> None:
    """Who waits gets the turn that comes free, in order, and an error gives it back too."""
    limit, served = ProjectLimit(at_once=1, wait_s=10), []

    async def ask(number: int) -> None:
        async with limit.slot("a"):
            served.append(number)
            await asyncio.sleep(0)
            if number == 1:
                raise ValueError

    await asyncio.gather(*(ask(number) for number in range(4)), return_exceptions=True)
    assert served == [0, 1, 2, 3]


async def test_nothing_is_kept() -> None:
    """A project without a question is forgotten, also when its question was given up."""
    limit = ProjectLimit(at_once=1, wait_s=10)
    async with limit.slot("a"):
        waiting = asyncio.create_task(limit.slot("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert not limit._projects
