"""The route `/v1/session`: who a browser is signed in as, and how it signs in and out.

Signing in takes the key in a header, which no other site can send here without being allowed to, and signing out a method that
needs the same; so neither can be brought about from elsewhere.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ConfigDict, Field

from query_service.api.auth import ReadingCallers
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import only
from query_service.api.run_schema import ResponseSchema
from servicekit.auth.authenticate import ANONYMOUS


class Guide(ResponseSchema):
    """What the pages tell somebody who has not sent a run yet."""

    gateway_url: Annotated[str | None, Field(description="Where this installation takes events; null where it is not said.")]
    ingest_key_file: Annotated[
        str | None, Field(description="The file with a local stack's ingest key; its name, never its content.")
    ]


_EXAMPLE: Final[dict[str, Any]] = {
    "project": "shop",
    "signed_in": True,
    "anonymous": False,
    "guide": {"gateway_url": "https://gateway.example", "ingest_key_file": None},
}


class BrowserSessionSchema(ResponseSchema):
    """Who asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    project: str
    signed_in: Annotated[bool, Field(description="By a cookie, which `DELETE` takes away.")]
    anonymous: Annotated[bool, Field(description="Without a key: a local stack shows one project to its own machine.")]
    guide: Guide


def session_router(callers: ReadingCallers, *, guide: Guide) -> APIRouter:
    """The route. `callers` says who asks."""
    router = APIRouter(tags=["session"], responses=ERRORS, dependencies=[Depends(callers.project), Depends(only())])

    @router.get("/v1/session", summary="Who is signed in")
    async def session(request: Request) -> BrowserSessionSchema:
        caller = callers.caller(request)
        return BrowserSessionSchema(
            project=caller.project, signed_in=callers.signed_in(request), anonymous=caller.key_id == ANONYMOUS, guide=guide
        )

    @router.post("/v1/session", summary="Sign a browser in with a read key")
    async def sign_in(request: Request, response: Response) -> BrowserSessionSchema:
        """The key comes in a header, as everywhere. The cookie is HttpOnly and SameSite=Strict, and Secure behind TLS."""
        caller = callers.sign_in(request, response)
        return BrowserSessionSchema(
            project=caller.project, signed_in=caller.key_id != ANONYMOUS, anonymous=caller.key_id == ANONYMOUS, guide=guide
        )

    @router.delete("/v1/session", summary="Sign a browser out")
    async def sign_out(request: Request, response: Response) -> BrowserSessionSchema:
        """The cookie is taken away; the key stays as it is."""
        caller = callers.caller(request)
        callers.sign_out(request, response)
        return BrowserSessionSchema(project=caller.project, signed_in=False, anonymous=caller.key_id == ANONYMOUS, guide=guide)

    return router
