"""Reads the query API as any client would: addresses, pages, JSON. What the answers mean is not known here."""

import http.client
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from deploy.demo.answers import Failure, Run, Stats, Step
from deploy.demo.errors import QueryError

_TIMEOUT_S: Final = 10.0  # above the query service's own limit for one answer
_RUNS_PAGE: Final = 500
_DETAILS_PAGE: Final = 2_000


class QueryApi:
    """One query service. Every method raises QueryError when it does not answer, or not with 200."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def runs(self, *, since: datetime) -> Iterator[Run]:
        """All runs that started at `since` or later, newest first."""
        yield from self._pages("/v1/runs", "runs", since=since.isoformat(), limit=_RUNS_PAGE)

    def steps(self, run_id: str) -> list[Step]:
        """All steps of a run, in order."""
        return list(self._pages(f"/v1/runs/{run_id}/steps", "steps", limit=_DETAILS_PAGE))

    def failures(self, run_id: str) -> list[Failure]:
        """All failures of a run, in order."""
        return list(self._pages(f"/v1/runs/{run_id}/failures", "failures", limit=_DETAILS_PAGE))

    def stats(self, *, since: datetime, until: datetime) -> Stats:
        """Statistics of the whole minutes that the window touches."""
        answer: Stats = self._get("/v1/stats", since=since.isoformat(), until=until.isoformat())
        return answer

    def _pages(self, path: str, member: str, **parameters: object) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = self._get(path, **parameters, **({} if cursor is None else {"cursor": cursor}))
            yield from page[member]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _get(self, path: str, **parameters: object) -> Any:  # noqa: ANN401 - the shape is the caller's to say
        # Not urllib: a proxy set in the environment is not to be asked about a service of ours.
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", f"{path}?{urlencode(parameters)}" if parameters else path)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise QueryError(f"the query service answered {answer.status} to {path}; look into its log")
            return json.load(answer)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise QueryError(f"no readable answer from the query service at {self.url}; is it up?") from error
        finally:
            connection.close()
