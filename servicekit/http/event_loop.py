"""uvloop with 5 s for a TLS handshake instead of 60: until it is over no limit on connections applies.

It also logs why a server cannot listen, since uvicorn's own line of it is a text that our log does not repeat.
"""

from typing import Any, Final

import uvloop

from servicekit.logs import Log, error_code

HANDSHAKE_TIMEOUT_S: Final = 5.0
"""A handshake takes two round trips."""
_LOG: Final = Log("servicekit")


class Loop(uvloop.Loop):
    """For uvicorn's setting `loop`, which has none for this."""

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed through
        """As asyncio's. Logs `cannot_listen` where that raises OSError."""
        if kwargs.get("ssl") is not None:
            kwargs.setdefault("ssl_handshake_timeout", HANDSHAKE_TIMEOUT_S)
        try:
            return await super().create_server(*args, **kwargs)
        except OSError as error:
            _LOG.error("cannot_listen", port=kwargs.get("port"), code=error_code(error))
            raise
