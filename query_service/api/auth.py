"""The project whose data a request may see: that of its key, or of the key that its browser signed in with.

A browser keeps no key. It keeps a cookie that names the key and the end of the session, sealed with the pepper: it opens nothing
but this service, and nothing after its end or once the key is revoked. Scripts cannot read it, other sites cannot send it, and
its name is that of the installation, so that two stacks on one machine do not take each other's cookies for their own.
"""

import hmac
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from typing import Final

from fastapi import Request, Response
from starlette.datastructures import Headers

from query_service.names.layer import PROJECT
from servicekit.auth.authenticate import Authenticator
from servicekit.auth.errors import ForbiddenError, KeysUnavailableError, UnauthenticatedError
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Caller, Scope
from servicekit.auth.refusals import RefusalReason

ReadingProject = Callable[..., Awaitable[str]]
"""A FastAPI dependency that gives the project of a request."""
_OFFERS: Final = ("authorization", "x-api-key")
_PARTS: Final = 3


class SessionEndedError(UnauthenticatedError):
    """The sign-in has ended, or its key is no longer alive: sign in again."""

    code = "session_ended"

    def __init__(self, cookie: str) -> None:
        super().__init__()
        self.headers = {**UnauthenticatedError.headers, "Set-Cookie": f"{cookie}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"}  # type: ignore[misc]


class ReadingCallers:
    """Who asks: by a key in a header, by a cookie, or without either where the settings allow it."""

    def __init__(
        self,
        keys: KeyCache,
        authenticator: Authenticator,
        *,
        lifetime_s: int,
        refused: Callable[[RefusalReason, str | None], None],
    ) -> None:
        self._keys = keys
        self._refused = refused
        self._by_key = authenticator
        self._lifetime_s = lifetime_s
        self.cookie: Final = f"agenttracer_{keys.pepper_id[:8]}"

    async def project(self, request: Request) -> str:
        """The dependency of every route that reads. Raises UnauthenticatedError, ForbiddenError, KeysUnavailableError."""
        project = request.scope[PROJECT] = self.caller(request).project
        return project

    def caller(self, request: Request) -> Caller:
        """A key in a header wins over a cookie: a program says what it means."""
        sealed = self._cookie_of(request)
        if sealed is None:
            return self._by_key.caller(request.scope["headers"])
        return self._signed_in(sealed)

    def signed_in(self, request: Request) -> bool:
        """Whether the caller comes by a cookie."""
        return self._cookie_of(request) is not None

    def sign_in(self, request: Request, response: Response) -> Caller:
        """The caller of the key in the header, whose browser gets a cookie. A caller without a key needs none."""
        caller = self._by_key.caller(request.scope["headers"])
        if self._keys.unready() is None and self._keys.alive(caller.key_id) is not None:
            ends = int(self._keys.now()) + self._lifetime_s
            named = f"{caller.key_id}.{ends}"
            self._set(request, response, f"{named}.{self._keys.seal(named)}", max_age=self._lifetime_s)
        return caller

    def sign_out(self, request: Request, response: Response) -> None:
        """Take the cookie away."""
        self._set(request, response, "", max_age=0)

    def _set(self, request: Request, response: Response, value: str, *, max_age: int) -> None:
        # A proxy that ends TLS says so; a client that says so falsely only keeps its own cookie off plain HTTP.
        secure = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}
        response.set_cookie(self.cookie, value, max_age=max_age, path="/", secure=secure, httponly=True, samesite="strict")

    def _cookie_of(self, request: Request) -> str | None:
        headers = Headers(scope=request.scope)
        if any(name in headers for name in _OFFERS) or "cookie" not in headers:
            return None
        jar: SimpleCookie = SimpleCookie()
        jar.load("; ".join(part for part in headers["cookie"].split("; ") if part.startswith(f"{self.cookie}=")))
        return jar[self.cookie].value if self.cookie in jar else None

    def _signed_in(self, sealed: str) -> Caller:
        if self._keys.unready() is not None:
            raise KeysUnavailableError
        parts = sealed.split(".")
        if len(parts) != _PARTS or not hmac.compare_digest(self._keys.seal(".".join(parts[:2])).encode(), parts[2].encode()):
            self._refused(RefusalReason.SESSION_ENDED, None)
            raise SessionEndedError(self.cookie)
        key_id, ends = parts[0], int(parts[1])  # sealed by us: a number
        caller = self._keys.alive(key_id)
        if caller is None or ends <= self._keys.now():
            self._refused(RefusalReason.SESSION_ENDED, key_id)
            raise SessionEndedError(self.cookie)
        if Scope.READ not in caller.scopes:
            self._refused(RefusalReason.WRONG_SCOPE, key_id)
            raise ForbiddenError
        return caller
