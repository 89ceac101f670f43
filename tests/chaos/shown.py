"""What the query API shows, held against what the clients know: each project its own runs, and of each run what became of it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from tests.chaos.balance import Account, answer_for
from tests.chaos.finding import Finding
from tests.chaos.history import History
from tests.chaos.stored import Key

_OTHERS = 20
_PAGE = 500
_LOOK_PAGE = 50
_LOOK_EVERY_S = 0.3
_MAY_ANSWER = {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}


def check_shown(
    history: History, accounts: Mapping[Key, Mapping[str, Account]], *, url: str, keys: Mapping[str, str]
) -> Iterator[Finding]:
    """With each project's key, the whole list and some of the runs that are not the project's."""
    for project, key in keys.items():
        with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
            shown = list(_runs(client))
            yield from _check_tenant(history, project, [run["run_id"] for run in shown])
            yield from _check_completeness(accounts, project, shown)
            others = sorted(set[str]().union(*history.runs.values()) - history.runs[project])
            for run_id in others[:_OTHERS]:
                if client.get(f"/v1/runs/{run_id}").status_code != httpx.codes.NOT_FOUND:
                    yield Finding("tenants", f"{project} can open run {run_id}")


def _check_tenant(history: History, project: str, shown: Sequence[str]) -> Iterator[Finding]:
    for run_id in set(shown) - history.runs[project]:
        yield Finding("tenants", f"{project} sees run {run_id} in its list")
    if len(shown) != len(set(shown)):
        yield Finding("tenants", f"{project} sees {len(shown) - len(set(shown))} runs more than once in its list")


def _check_completeness(
    accounts: Mapping[Key, Mapping[str, Account]], project: str, shown: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Every run that has arrived is shown, with what its producers went through."""
    wanted = {run_id: answer_for(of_run) for (owner, run_id), of_run in accounts.items() if owner == project}
    for run in shown:
        told, right = run["completeness"], wanted.get(run["run_id"])
        if right is not None and told != right:
            differing = ", ".join(sorted(name for name in right if told.get(name) != right[name]))
            yield Finding("completeness", f"{project} {run['run_id']}: {differing}")
    for run_id in wanted.keys() - {run["run_id"] for run in shown}:
        yield Finding("completeness", f"{project} {run_id}: not shown")


def _runs(client: httpx.Client) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/v1/runs", params={"limit": _PAGE, **cursor})
        answer.raise_for_status()
        page = answer.json()
        yield from page["runs"]
        if not page.get("next_cursor"):
            return
        cursor = {"cursor": page["next_cursor"]}


class Onlooker(threading.Thread):
    """Asks for the newest runs all the time, with each project's key in turn, whatever happens to the services meanwhile."""

    def __init__(self, history: History, *, url: Callable[[], str], keys: Mapping[str, str]) -> None:
        super().__init__(name="onlooker", daemon=True)
        self._history = history
        self._url = url
        self._keys = keys
        self._ended = threading.Event()
        self.findings: list[Finding] = []
        self.answers = Counter[int]()
        """By status; 0 stands for none."""
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._ended.wait(_LOOK_EVERY_S):
                for project, key in self._keys.items():
                    self._look(project, key)
        except BaseException as error:  # noqa: BLE001 - shown by whoever joins this thread
            self.error = error

    def end(self) -> None:
        """May be said again."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def _look(self, project: str, key: str) -> None:
        try:
            answer = httpx.get(f"{self._url()}/v1/runs", params={"limit": _LOOK_PAGE}, headers={"x-api-key": key}, timeout=10)
        except httpx.HTTPError:
            self.answers[0] += 1
            return
        self.answers[answer.status_code] += 1
        if answer.status_code not in _MAY_ANSWER:
            self.findings.append(Finding("answers", f"the query service answered {answer.status_code}"))
        if answer.is_success:
            shown = {run["run_id"] for run in answer.json()["runs"]}
            foreign = shown - self._history.runs[project]
            self.findings += [Finding("tenants", f"{project} sees run {run_id} in its list") for run_id in foreign]
