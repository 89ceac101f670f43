"""Asks a process of ours whether it is ready: `GET /ready` on loopback."""

import http.client

from deploy.local_stack.ports import LOOPBACK

_TIMEOUT_S = 2.0
_OK = 200


def says_ready(port: int) -> bool:
    """Tell whether whoever listens on this port says that it is ready. False for anything else, silence included."""
    # Not urllib: a proxy set in the environment is not to be asked about loopback.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
