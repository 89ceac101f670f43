"""The faults: a seeded schedule of kills, pauses, restarts and rebalances of processes that the soak itself started.

Every fault that took effect is logged with its time and target, and no other counts. A paused process goes on after a while,
whatever else has happened by then.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from agenttracer_cli.local.services import Service
from tests.chaos.crew import Crew
from tests.chaos.fleet import SESSION_S, owned_partitions

_LOOK_S = 0.2
_IN_FLIGHT_S = 1.0
ZOMBIE_S = SESSION_S + 3
TAKEOVER_MAX_S = 45.0
FIRST_FETCH_S = 10.0


class Due(NamedTuple):
    """Something to do at a time (monotonic, s)."""

    at: float
    do: Callable[[], None]


class Injector(threading.Thread):
    """Spreads `count` faults over `spread_s` seconds; every kind comes before any comes again."""

    def __init__(self, crew: Crew, *, count: int, spread_s: float, seed: int) -> None:
        super().__init__(name="injector", daemon=True)
        self._crew = crew
        self._random = random.Random(seed)
        self._kinds: dict[str, Callable[[], str | None]] = {
            "worker_paused": self._pause_worker,
            "worker_killed": self._kill_worker,
            "gateway_killed": self._kill_gateway,
            "postgres_crashed": self._crash_postgres,
            "worker_added": self._add_worker,
            "connections_cut": self._cut_connections,
            "query_killed": self._kill_query,
            "gateway_paused": self._pause_gateway,
            "broker_crashed": self._crash_broker,
            "worker_removed": self._remove_worker,
            "group_rewound": self._rewind_group,
        }
        self._schedule = self._scheduled(count)
        self._every_s = spread_s / max(1, count)
        self._due: list[Due] = []
        self.log: list[dict[str, Any]] = []
        self.zombies = 0
        self.abandon = threading.Event()
        self.error: BaseException | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Faults by kind."""
        return dict(Counter(entry["fault"] for entry in self.log))

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - shown by whoever joins this thread
            self.error = error

    def _run(self) -> None:
        began = time.monotonic()
        for number, kind in enumerate(self._schedule):
            self._wait_until(began + number * self._every_s)
            if self.abandon.is_set():
                break
            self._strike(kind, at_s=time.monotonic() - began)
        while self._due:
            self._wait_until(max(due.at for due in self._due))

    def _scheduled(self, count: int) -> list[str]:
        """Pauses first, because zombies need time; what follows in any order."""
        schedule: list[str] = []
        while len(schedule) < count:
            kinds = list(self._kinds)
            if schedule:
                self._random.shuffle(kinds)
            schedule += kinds
        return schedule[:count]

    def _wait_until(self, deadline: float) -> None:
        while (now := time.monotonic()) < deadline:
            ready = [due for due in self._due if due.at <= now]
            self._due = [due for due in self._due if due.at > now]
            for due in ready:
                due.do()
            self._crew.revive()
            self.abandon.wait(_LOOK_S)
            if self.abandon.is_set():
                for due in self._due:
                    due.do()
                self._due = []
                return
        ready, self._due = [d for d in self._due if d.at <= now], [d for d in self._due if d.at > now]
        for due in ready:
            due.do()

    def _strike(self, wanted: str, *, at_s: float) -> None:
        """One fault: of that kind or, where it cannot take effect just now (nobody to remove, all paused), of another one."""
        others = [kind for kind in self._kinds if kind not in {wanted, "worker_killed"}]
        self._random.shuffle(others)
        for kind in dict.fromkeys((wanted, "worker_killed", *others)):
            if target := self._kinds[kind]():
                instead = {} if kind == wanted else {"instead_of": wanted}
                self.log.append({"at_s": round(at_s, 1), "fault": kind, "target": target, **instead})
                return
        raise AssertionError("no fault of any kind could take effect")

    # -- kinds: each answers its target, or None where it had no effect ----------------------------------------------------

    def _kill_worker(self) -> str | None:
        return self._restarted(self._pick(self._crew.workers))

    def _kill_gateway(self) -> str | None:
        return self._restarted(self._pick(self._crew.gateways))

    def _kill_query(self) -> str | None:
        """It must be back soon; what it shows meanwhile and afterwards is looked at all the time."""
        killed = self._restarted(self._pick([self._crew.query]))
        if killed:
            self._crew.query.wait_ready()
        return killed

    def _restarted(self, service: Service | None) -> str | None:
        if service is None:
            return None
        self._crew.note_metrics()
        service.kill()
        service.start()
        return service.name

    def _pause_worker(self) -> str | None:
        """Stopped past its session, so that others take its partitions over; then it wakes and believes it still has them."""
        service = self._pick(self._crew.workers, spare=1)
        owned = self._owned(service)
        if service is None or not owned:
            return None
        process = self._crew.pause(service)
        self._pass_in_flight()
        before = self._crew.covered_by_partition()
        began = time.monotonic()

        def wake() -> None:
            after = self._crew.covered_by_partition()
            taken_over = any(after.get(number, 0) > before.get(number, 0) for number in owned) and bool(before)
            if not taken_over and time.monotonic() < began + TAKEOVER_MAX_S and not self.abandon.is_set():
                self._due.append(Due(time.monotonic() + 1, wake))
                return
            self._crew.resume(service)
            self.zombies += taken_over and service.pid == process.pid

        self._due.append(Due(began + ZOMBIE_S, wake))
        return service.name

    def _owned(self, service: Service | None) -> frozenset[int]:
        """The partitions that it has begun to read, for which it may need a moment."""
        deadline = time.monotonic() + FIRST_FETCH_S
        owned: frozenset[int] = frozenset()
        while service is not None and not owned and time.monotonic() < deadline:
            self.abandon.wait(_LOOK_S)
            owned = owned_partitions(service)
        return owned

    def _pass_in_flight(self) -> None:
        """What the stopped process had sent to the database before is not somebody else's work."""
        self.abandon.wait(_IN_FLIGHT_S)

    def _pause_gateway(self) -> str | None:
        service = self._pick(self._crew.gateways, spare=1)
        if service is None:
            return None
        self._crew.pause(service)
        self._due.append(Due(time.monotonic() + self._random.uniform(1, 9), lambda: self._crew.resume(service)))
        return service.name

    def _crash_postgres(self) -> str | None:
        return self._crew.crash("postgres")

    def _crash_broker(self) -> str | None:
        return self._crew.crash("kafka")

    def _add_worker(self) -> str | None:
        return self._crew.add_worker()

    def _remove_worker(self) -> str | None:
        service = self._pick(self._crew.workers, spare=1)
        return None if service is None else self._crew.remove_worker(service)

    def _cut_connections(self) -> str | None:
        return self._crew.cut_connections()

    def _rewind_group(self) -> str | None:
        """Once whoever is paused has woken: a group with members cannot be rewound."""
        while self._crew.paused and self._due and not self.abandon.is_set():
            self._wait_until(min(due.at for due in self._due))
        return self._crew.rewind(self._random.random())

    def _pick(self, services: Sequence[Service], *, spare: int = 0) -> Service | None:
        """One that runs and is not paused; None unless `spare` more of them stay."""
        awake = [one for one in services if one not in self._crew.paused and one.pid is not None]
        return self._random.choice(awake) if len(awake) > spare else None
