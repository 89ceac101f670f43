"""A client of the query API: addresses, pages, JSON."""

import http.client
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from agenttracer_cli.demo.errors import QueryApiError
from agenttracer_cli.demo.responses import FailureJson, RunJson, StatsJson, StepJson

_TIMEOUT_S: Final = 10.0  # above the query service's own limit for one answer
_PART_BYTES: Final = 65_536
_RUNS_PAGE: Final = 500
_DETAILS_PAGE: Final = 2_000


class ServerEvent(NamedTuple):
    """One event of an answer that goes on. `id` is from where on it can be asked for again."""

    kind: str
    data: str
    id: str | None


class QueryApi:
    """One query service, read with a key or, on this machine, without. Raises QueryApiError when it does not answer with 200."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def runs(self, *, since: datetime) -> Iterator[RunJson]:
        """All runs that started at `since` or later, newest first."""
        yield from self._pages("/v1/runs", "runs", since=since.isoformat(), limit=_RUNS_PAGE)

    def steps(self, run_id: str) -> list[StepJson]:
        """All steps of a run, in order."""
        return list(self._pages(f"/v1/runs/{run_id}/steps", "steps", limit=_DETAILS_PAGE))

    def failures(self, run_id: str) -> list[FailureJson]:
        """All failures of a run, in order."""
        return list(self._pages(f"/v1/runs/{run_id}/failures", "failures", limit=_DETAILS_PAGE))

    def stats(self, *, since: datetime, until: datetime) -> StatsJson:
        """Statistics of the whole minutes that the window touches."""
        answer: StatsJson = self.get("/v1/stats", since=since.isoformat(), until=until.isoformat())
        return answer

    def _pages(self, path: str, member: str, **parameters: object) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = self.get(path, **parameters, cursor=cursor)
            yield from page[member]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - the shape is the caller's to say
        """The answer to one question. Parameters that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        # Not urllib: it would send the request to a proxy that the environment names.
        connection = self._connection()
        try:
            connection.request("GET", f"{path}?{urlencode(given)}" if given else path, headers=self._headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise QueryApiError(f"the query service answered {answer.status} to {path}: {_reason(answer)}")
            return json.load(answer)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise QueryApiError(f"no readable answer from the query service at {self.url}; is it up?") from error
        finally:
            connection.close()

    def download(self, path: str, *, into: BinaryIO, **parameters: object) -> None:
        """Write an answer as it comes. Raises QueryApiError also where it is broken off."""
        given = {name: value for name, value in parameters.items() if value is not None}
        connection = self._connection()
        try:
            connection.request("GET", f"{path}?{urlencode(given)}", headers=self._headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise QueryApiError(f"the query service answered {answer.status} to {path}: {_reason(answer)}")
            while part := answer.read(_PART_BYTES):
                into.write(part)
        except (OSError, http.client.HTTPException) as error:
            raise QueryApiError(f"the answer of the query service at {self.url} is not whole") from error
        finally:
            connection.close()

    def events(self, path: str, **parameters: object) -> Iterator[ServerEvent]:
        """Server-sent events, until the answer ends. Raises QueryApiError also where it is broken off."""
        connection = self._connection()
        try:
            connection.request("GET", f"{path}?{urlencode(parameters)}", headers=self._headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise QueryApiError(f"the query service answered {answer.status} to {path}: {_reason(answer)}")
            said: dict[str, str] = {}
            while line := answer.readline().decode():
                name, sign, value = line.rstrip("\n").partition(": ")
                if sign and name:
                    said[name] = value
                elif not sign and "data" in said:
                    yield ServerEvent(said.get("event", ""), said["data"], said.get("id"))
                    said = {}
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise QueryApiError(f"the answer of the query service at {self.url} was broken off") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        if address.scheme == "https":
            return http.client.HTTPSConnection(address.netloc, timeout=_TIMEOUT_S)
        return http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT_S)


def _reason(answer: http.client.HTTPResponse) -> str:
    """The service's own words, which repeat nothing that was sent."""
    try:
        return str(json.load(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "look into its log"
