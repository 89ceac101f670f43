"""Compares the sent events with those in the query API: pure bookkeeping, and the loop that polls until all are visible."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from agenttracer_cli.demo.errors import QueryApiError
from agenttracer_cli.demo.examples import ExampleRunner, SentCounts
from agenttracer_cli.demo.query_api import QueryApi
from agenttracer_cli.demo.responses import RunJson

_POLL_S: Final = 0.2
SENT_WITHIN_S: Final = 90.0
"""The examples take seconds, and each gives its tracers 10 s to send their queues."""
VISIBLE_WITHIN_S: Final = 60.0
"""After the last acceptance: a worker's worst rebalance, and the silence after which a run counts as abandoned."""


@dataclass(frozen=True, kw_only=True)
class SendProgress:
    """The sent and the visible events. Seconds count from the start of sending; None: not yet."""

    sent: SentCounts = field(default_factory=SentCounts)
    runs: Sequence[RunJson] = ()
    first_visible_s: float | None = None
    all_visible_s: float | None = None
    settled: bool = False
    """All events are visible and no run is `running`: silent runs have become abandoned."""
    query_error: str | None = None

    @property
    def stored(self) -> int:
        """Events of these runs that the store holds, by the query API."""
        return sum(run["completeness"]["stored_events"] for run in self.runs)

    @property
    def running(self) -> int:
        """Runs without an end that are not abandoned yet."""
        return sum(run["status"] == "running" for run in self.runs)

    def after(self, runs: Sequence[RunJson], *, sent: SentCounts, sending: bool, now_s: float) -> "SendProgress":
        """The progress after one more request. Only runs that were sent count."""
        mine = [run for run in runs if run["run_id"] in sent.run_ids]
        seen = replace(self, sent=sent, runs=mine, query_error=None)
        complete = not sending and seen.stored == sent.accepted and len(mine) == len(sent.run_ids)
        return replace(
            seen,
            first_visible_s=now_s if self.first_visible_s is None and mine else self.first_visible_s,
            all_visible_s=now_s if self.all_visible_s is None and complete else self.all_visible_s,
            settled=complete and not seen.running,
        )


def await_visible(
    sending: ExampleRunner, api: QueryApi, *, since: datetime, show: Callable[[SendProgress], None]
) -> SendProgress:
    """Start sending and poll until every accepted event is visible and settled, or time is up. Calls `show` at every poll."""
    began_s = time.monotonic()
    sending.start()
    progress, deadline_s = SendProgress(), began_s + SENT_WITHIN_S
    was_sending = True
    while not progress.settled and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        still_sending = sending.running  # before the counts: it must hold for them
        if was_sending and not still_sending:
            was_sending, deadline_s = False, time.monotonic() + VISIBLE_WITHIN_S
        progress = _poll(progress, sending, api=api, since=since, still_sending=still_sending, began_s=began_s)
        show(progress)
    return progress


def _poll(
    before: SendProgress, sending: ExampleRunner, *, api: QueryApi, since: datetime, still_sending: bool, began_s: float
) -> SendProgress:
    sent = sending.tracers.sent()
    try:
        runs = list(api.runs(since=since))
    except QueryApiError as error:  # it may be restarting; the deadline ends the wait
        return replace(before, sent=sent, query_error=str(error))
    return before.after(runs, sent=sent, sending=still_sending, now_s=time.monotonic() - began_s)
