"""When what was sent became visible in the query API: the bookkeeping, pure, and the loop that polls until all of it has."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from deploy.demo.answers import Run
from deploy.demo.errors import QueryError
from deploy.demo.examples import Sending, Sent
from deploy.demo.query_api import QueryApi

_POLL_S: Final = 0.2
SENT_WITHIN_S: Final = 90.0
"""The examples take seconds, and each gives its tracers 10 s to get rid of what they hold."""
VISIBLE_WITHIN_S: Final = 60.0
"""After the last acceptance: a worker's worst rebalance, and the silence after which a run counts as abandoned."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What is visible of what was sent. Seconds count from the start of sending; None: not yet."""

    sent: Sent = field(default_factory=Sent)
    runs: Sequence[Run] = ()
    first_visible_s: float | None = None
    all_visible_s: float | None = None
    settled: bool = False
    """All is visible, and no run is still called running: silences have been noticed."""
    query_error: str | None = None

    @property
    def stored(self) -> int:
        """Events of these runs that the store holds, as the query API says."""
        return sum(run["completeness"]["stored_events"] for run in self.runs)

    @property
    def running(self) -> int:
        """Runs without an end that have not been silent for long enough."""
        return sum(run["status"] == "running" for run in self.runs)

    def after(self, runs: Sequence[Run], *, sent: Sent, sending: bool, now_s: float) -> "Arrival":
        """Take in one more look at the query API; only runs that were sent count."""
        mine = [run for run in runs if run["run_id"] in sent.run_ids]
        seen = replace(self, sent=sent, runs=mine, query_error=None)
        complete = not sending and seen.stored == sent.accepted and len(mine) == len(sent.run_ids)
        return replace(
            seen,
            first_visible_s=now_s if self.first_visible_s is None and mine else self.first_visible_s,
            all_visible_s=now_s if self.all_visible_s is None and complete else self.all_visible_s,
            settled=complete and not seen.running,
        )


def await_arrival(sending: Sending, api: QueryApi, *, since: datetime, show: Callable[[Arrival], None]) -> Arrival:
    """Start sending, look until all that was accepted is visible and settled, or until it takes too long; `show` every look."""
    began_s = time.monotonic()
    sending.start()
    arrival, deadline_s = Arrival(), began_s + SENT_WITHIN_S
    was_sending = True
    while not arrival.settled and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        still_sending = sending.running  # asked before the counts: what it says must hold for them
        if was_sending and not still_sending:
            was_sending, deadline_s = False, time.monotonic() + VISIBLE_WITHIN_S
        arrival = _look(arrival, sending, api=api, since=since, still_sending=still_sending, began_s=began_s)
        show(arrival)
    return arrival


def _look(before: Arrival, sending: Sending, *, api: QueryApi, since: datetime, still_sending: bool, began_s: float) -> Arrival:
    sent = sending.account.sent()
    try:
        runs = list(api.runs(since=since))
    except QueryError as error:  # it may be restarting; whether it stays away is seen at the deadline
        return replace(before, sent=sent, query_error=str(error))
    return before.after(runs, sent=sent, sending=still_sending, now_s=time.monotonic() - began_s)
