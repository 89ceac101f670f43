"""uvloop, whose servers give a TLS handshake 5 s instead of 60: until it is over no limit on connections sees who holds one."""

from typing import Any, Final

import uvloop

HANDSHAKE_TIMEOUT_S: Final = 5.0
"""A handshake takes two round trips."""


class Loop(uvloop.Loop):
    """For uvicorn's setting `loop`, which has none for this."""

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed through
        """As asyncio's."""
        if kwargs.get("ssl") is not None:
            kwargs.setdefault("ssl_handshake_timeout", HANDSHAKE_TIMEOUT_S)
        return await super().create_server(*args, **kwargs)
