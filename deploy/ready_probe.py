"""Asks a process of ours whether it is ready: `GET /ready` on loopback, where the kernel says that it is ours who listens.

Without that, the service of another stack that won the race for a port would be taken for our own.
"""

import http.client
from dataclasses import dataclass
from enum import Enum, auto

from deploy.local_stack.listeners import listening
from deploy.local_stack.owned_process import OwnedProcess
from deploy.local_stack.ports import LOOPBACK, is_free

_TIMEOUT_S = 2.0
_OK = 200


class Answer(Enum):
    """How a service is."""

    READY = auto()
    NOT_READY = auto()
    NOT_OURS = auto()
    """It runs, and somebody else listens on its port."""


@dataclass(frozen=True)
class Probe:
    """A service whose `listeners` processes share one port, each with pages of its own where there are several."""

    process: OwnedProcess
    listeners: int = 1

    def ask(self, port: int) -> Answer:
        """Ask every port that it listens on. Ready once all its processes listen on `port`, nobody else does, and all say so."""
        found = listening(self.process.pids())
        if self.process.find() is None:
            return Answer.NOT_READY
        if port in found.others and not is_free(port):  # an IPv6 listener can leave the port of IPv4 alone
            return Answer.NOT_OURS
        if found.ours[port] != self.listeners or not all(says_ready(each) for each in found.ours):
            return Answer.NOT_READY
        # Once more: whoever listened before and after listened when it was asked.
        after = listening(self.process.pids())
        return Answer.READY if after.ours == found.ours and port not in after.others else Answer.NOT_READY


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
