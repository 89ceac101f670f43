"""Asks a service whether it is ready, with `GET /ready` on loopback, and checks in `/proc` that our process listens there.

Without that check, a service of another stack that took the port first would be taken for ours.
"""

import http.client
from dataclasses import dataclass
from enum import Enum, auto

from agenttracer_cli.local_stack.listeners import listening
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.local_stack.ports import LOOPBACK, is_free

_TIMEOUT_S = 2.0
_OK = 200


class Readiness(Enum):
    """State of a service."""

    READY = auto()
    NOT_READY = auto()
    NOT_OURS = auto()
    """It runs, and another process listens on its port."""


@dataclass(frozen=True)
class Probe:
    """A service whose `listeners` processes share one port, each with pages of its own where there are several."""

    process: OwnedProcess
    listeners: int = 1

    def ask(self, port: int, *, grpc_port: int | None = None) -> Readiness:
        """Ask every port that it listens on, but gRPC's. It is ready if only its processes listen on `port`, and all say so."""
        found = listening(self.process.pids())
        if self.process.find() is None:
            return Readiness.NOT_READY
        if port in found.others and not is_free(port):  # an IPv6 listener can leave the port of IPv4 alone
            return Readiness.NOT_OURS
        if found.ours[port] != self.listeners or not all(says_ready(each) for each in found.ours if each != grpc_port):
            return Readiness.NOT_READY
        # Once more: a process that listened before and after also listened when it was asked.
        after = listening(self.process.pids())
        return Readiness.READY if after.ours == found.ours and port not in after.others else Readiness.NOT_READY


def says_ready(port: int) -> bool:
    """Whether the process on this port says that it is ready. False for any other answer, and for none."""
    # Not urllib: a proxy set in the environment is not to be asked about loopback.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
