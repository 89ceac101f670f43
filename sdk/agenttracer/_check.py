"""Sends one run by the usual way and says, line by line: the URL, where the key is from, accepted or why not, visible or not.

No key is printed, and nothing that a server answered except its status.
"""

import os
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from agenttracer._config import Config, load
from agenttracer._export.transport import local_key
from agenttracer._tracer import AgentTracer
from agenttracer._version import __version__

_AGENT: Final = "agenttracer-check"
_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_LOCAL_QUERY_URL: Final = "http://127.0.0.1:8001"
_REFUSED: Final = frozenset({401, 403})
_FLUSH_S: Final = 15.0
_VISIBLE_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.25


def check(
    *, api_url: str | None = None, query_url: str | None = None, say: Callable[[str], None] = print, within_s: float = _VISIBLE_S
) -> int:
    """Check the settings of this environment. The exit status: 0 if the run was accepted, and is not known to be invisible."""
    config = load({"api_url": api_url})
    key = config.api_key or local_key(config.api_url)
    say(f"gateway   {config.api_url}")
    say(f"key       {_source_of_key(config)}")
    if config.disabled:
        say("accepted  no: AGENTTRACER_DISABLED is set, nothing is sent")
        return 1
    tracer = AgentTracer(agent_id=_AGENT, agent_version=__version__, api_url=config.api_url, sample_rate=1.0)
    with tracer.start_run() as run, run.step("other", "check"):
        pass
    result = tracer.flush(_FLUSH_S)
    problem = tracer._pipeline.problem  # noqa: SLF001 - a part of the SDK
    tracer.shutdown(0)
    if not result.complete or result.accepted < 3:  # noqa: PLR2004 - a start, a step, an end
        say(f"accepted  no: {problem or 'no answer in time'}")
        return 1
    say(f"accepted  yes: run {run.run_id}, {result.accepted} events")
    where = query_url or (_LOCAL_QUERY_URL if urlsplit(config.api_url).hostname in _LOCAL else None)
    if where is None:
        say("visible   not looked at: say where by --query-url")
        return 0
    if not config.may_send_key(where):
        key = None
    return _look(f"{where.rstrip('/')}/v1/runs/{run.run_id}", key=key, say=say, within_s=within_s)


def _source_of_key(config: Config) -> str:
    if config.api_key is not None:
        return "from AGENTTRACER_API_KEY" + (
            "" if config.sendable_key else ", not sent: plain http, and no AGENTTRACER_ALLOW_INSECURE"
        )
    if local_key(config.api_url) is not None:
        return "from the file that a local stack left for this user"
    return "none: set AGENTTRACER_API_KEY" if not os.environ.get("AGENTTRACER_API_KEY") else "AGENTTRACER_API_KEY cannot be used"


def _look(url: str, *, key: str | None, say: Callable[[str], None], within_s: float) -> int:
    deadline = time.monotonic() + within_s
    while True:
        status = _status_of(url, key=None)  # a local stack lets its own machine read, and its key only send
        if status in _REFUSED and key is not None:
            status = _status_of(url, key=key)
        if status == 200:  # noqa: PLR2004 - found
            say(f"visible   yes: {url}")
            return 0
        if status in _REFUSED:
            say(f"visible   not known: the query service wants a key that may read ({status})")
            return 0
        if status is None:
            say(f"visible   not known: no query service answers at {url}")
            return 0
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_EVERY_S)
    say(f"visible   no: {url} answers {status} after {within_s:g} s; do the stream workers run?")
    return 1


def _status_of(url: str, *, key: str | None) -> int | None:
    """The status of the answer; None if there was none."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=5) as answer:  # noqa: S310 - an http URL
            return int(answer.status)
    except HTTPError as error:
        return int(error.code)
    except (OSError, HTTPException, ValueError):
        return None
