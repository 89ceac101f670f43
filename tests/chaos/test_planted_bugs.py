"""The checker finds each of these bugs by name, and finds nothing where there is none."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import httpx
import pytest

from agenttracer._export import response_action
from agenttracer._export.response_action import Action, ResponseAction
from agenttracer._export.transport import GatewayResponse
from agenttracer_cli.local.services import Service
from stream_workers.core import assemble
from tests.chaos import fleet, invariants
from tests.chaos.balance import Places, accounts, check_balance, whereabouts
from tests.chaos.bugs import BUGS
from tests.chaos.evidence import CommitWatch, Logged, ends, read_topic, rewind_group
from tests.chaos.finding import Finding, broken
from tests.chaos.history import History
from tests.chaos.load import Client, Pace, Source, lots
from tests.chaos.rows import check_rows
from tests.chaos.settle import wait_settled
from tests.chaos.shown import check_shown
from tests.chaos.store_lock import TableLock
from tests.chaos.stored import read_stored
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.stacks import Stack, free_port, until
from tests.support.traffic import Traffic
from tests.support.zombie import late_write

EVENTS = 3_000
SEED = 17


class Prepared(NamedTuple):
    """A topic with traffic and poison in it, which every worker under test reads from its beginning."""

    pipeline: Pipeline
    history: History
    topic: Sequence[Logged]
    places: Places


class Trial:
    """One worker with one bug, a database and a group of its own."""

    def __init__(self, prepared: Prepared, bug: str) -> None:
        self.prepared = prepared
        self.pipeline = prepared.pipeline
        self.database = self.pipeline.new_database()
        alone = {"AGENTTRACER_WORKER_BATCH_MAX_ROWS": "1"}  # a transaction for each chunk
        self.worker = fleet.planted(fleet.worker(self.pipeline, 1, database=self.database, group=self.database, **alone), bug)
        self.watch = CommitWatch(self.pipeline, group=self.database, database=self.database, every_s=0.2)
        self.watch.start()

    def lock(self, table: str) -> TableLock:
        return TableLock(self.pipeline, table, database=self.database)

    def judged(self, *, whole: bool = True) -> set[str]:
        """The invariants that the checker finds broken, once all is covered, or else once nothing moves any more."""
        history, topic = self.prepared.history, self.prepared.topic
        settled = wait_settled(
            self.pipeline, database=self.database, still_s=60 if whole else 4, alive=lambda: self.worker.pid is not None
        )
        assert settled == whole, f"the worker has covered {'all' if settled else 'not all'} of it"
        self.watch.end()
        found = [
            *invariants.check_store(self.pipeline, topic, database=self.database),
            *invariants.check_ledger(self.pipeline, topic, database=self.database),
            *(Finding("commits", one) for one in self.watch.findings),
        ]
        stored = read_stored(self.pipeline, database=self.database)
        where = whereabouts(history, self.prepared.places, stored)
        return set(broken([*found, *check_rows(history, stored), *check_balance(where, stored)]))

    def close(self) -> None:
        self.watch.end()
        self.worker.kill()


def client(pipeline: Pipeline, history: History, gateways: Sequence[Service], *, events: int, seed: int = SEED) -> Client:
    source = Source(lots(seed, events=events))
    keys = fleet.ingest_keys(pipeline)
    return Client(source, history, urls=lambda: [one.url for one in gateways], keys=keys, pace=Pace(1e9), seed=seed)


@pytest.fixture(scope="module")
def prepared(stack: Stack) -> Iterator[Prepared]:
    pipeline, history = Pipeline(stack), History()
    sender_of = fleet.gateway(pipeline, 1)
    sender = client(pipeline, history, [sender_of], events=EVENTS)  # makes the keys, before the gateway reads them
    sender_of.start()
    sender_of.wait_ready()
    sender.run()
    pipeline.produce_raw([fleet.poison(number) for number in range(8)])
    sender_of.kill()
    assert sender.error is None
    topic = read_topic(pipeline)
    yield Prepared(pipeline, history, topic, invariants.places_of(topic))
    pipeline.close()


@pytest.fixture
def trial(prepared: Prepared) -> Iterator[Callable[[str], Trial]]:
    begun: list[Trial] = []

    def begin(bug: str) -> Trial:
        begun.append(Trial(prepared, bug))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def held_up(one: Trial) -> None:
    """The store is not written for some seconds, while the worker reads on. It has its epochs by then."""
    with one.lock("runs") as lock:
        one.worker.start()
        lock.wait_for_waiting()
        looks = one.watch.looks
        until(lambda: one.watch.looks > looks + 10, timeout_s=60, what="commits were watched for a while")


def killed_in_transaction(one: Trial) -> None:
    """Kill -9 while the rows are written; then another worker."""
    with one.lock("runs") as lock:
        one.worker.start()
        lock.wait_for_waiting()
        one.worker.kill()
    one.worker.start()


def cancelled_in_transaction(one: Trial) -> None:
    """A statement fails in mid-transaction."""
    with one.lock("runs") as lock:
        if one.worker.pid is None:
            one.worker.start()
        lock.cancel(lock.wait_for_waiting())


def undisturbed(one: Trial) -> None:
    """The topic's own duplicates and contradictions, in transactions of few records, are enough."""
    one.worker.start()


def compacted(one: Trial) -> None:
    """Statistics are compacted while the rest of the topic is still read."""
    one.worker.start()

    def some() -> bool:
        return fleet.metrics(one.worker, ["deltas_compacted_total"]).get("deltas_compacted_total", 0) > 0

    until(some, timeout_s=60, what="statistics are compacted", every_s=0.2)


@pytest.mark.parametrize(
    ("bug", "provoke", "expected"),
    [
        ("take", held_up, {"commits"}),
        ("commit_before_insert", killed_in_transaction, {"lost", "unexplained", "fold"}),
        ("swallowed_database_error", cancelled_in_transaction, {"lost", "unexplained", "fold"}),
        ("counted_on_redelivery", undisturbed, {"duplicate", "fold"}),
        ("first_end_wins", undisturbed, {"lost", "corrupt", "fold"}),
        ("ledger_hole", undisturbed, {"ledger", "commits"}),
        ("dead_letter_dropped", undisturbed, {"dead_letters"}),
        ("failure_repeated", undisturbed, {"spurious", "lost", "fold"}),
        ("rollup_keeps_the_old_row", undisturbed, {"rollups", "fold"}),
        ("tokens_not_taken_back", undisturbed, {"rollups", "fold"}),
        ("delta_counted_twice", compacted, {"rollups", "fold"}),
        ("delta_lost", compacted, {"rollups", "fold"}),
    ],
)
def test_the_checker_finds_a_bug_of_the_worker(
    trial: Callable[[str], Trial], bug: str, provoke: Callable[[Trial], None], expected: set[str]
) -> None:
    """Planted in a worker process, provoked by one fault, found by the invariants that it breaks and by no other."""
    one = trial(bug)
    provoke(one)
    assert one.judged(whole=bug != "ledger_hole") == expected


@pytest.mark.parametrize(
    ("bug", "expected"), [("drops_parent_step_id", {"corrupt"}), ("drop_report_forgotten", {"lost", "unexplained"})]
)
def test_the_checker_finds_a_bug_that_the_fold_shares(
    trial: Callable[[str], Trial], monkeypatch: pytest.MonkeyPatch, bug: str, expected: set[str]
) -> None:
    """Where worker and fold make the same mistake they agree with each other; what the clients offered still tells."""
    monkeypatch.setattr(assemble, "step_row", assemble.step_row)  # to be put back
    monkeypatch.setattr(assemble, "_READ", dict(assemble._READ))
    one = trial(bug)
    one.worker.start()
    BUGS[bug]()
    assert one.judged() == expected


def test_the_checker_finds_nothing_in_a_healthy_worker(trial: Callable[[str], Trial], prepared: Prepared) -> None:
    """The same worker without a bug goes through all of these faults, and through a redelivery of everything."""
    one = trial("none")
    held_up(one)
    one.worker.kill()
    killed_in_transaction(one)
    assert wait_settled(one.pipeline, database=one.database, still_s=30)
    one.worker.terminate()
    rewind_group(one.pipeline, one.database, dict.fromkeys(ends(one.pipeline), 1))
    cancelled_in_transaction(one)
    _wait_read(one.worker, len(prepared.topic) - PARTITIONS)
    assert one.judged() == set()
    assert broken(invariants.check_answers(prepared.history)) == {}
    assert broken(invariants.check_topic(prepared.history, prepared.places)) == {}
    assert _shown(prepared, one.database, bug="none") == {}
    assert _shown(prepared, one.database, bug="tenant_filter_removed").keys() == {"tenants"}
    assert _shown(prepared, one.database, bug="undeclared_loss_is_complete").keys() == {"completeness"}


@pytest.mark.parametrize(("bug", "refused"), [("none", True), ("zombies_not_refused", False)])
def test_a_zombie_that_is_not_refused_is_found(pipeline: Pipeline, bug: str, *, refused: bool) -> None:
    """Nothing is wrong in the store then, since the keys refuse its rows as well: what the worker counts tells it."""
    traffic = Traffic(SEED)
    records = traffic.records(traffic.runs(100))
    zombie, successor = (
        fleet.planted(fleet.worker(pipeline, number, database=pipeline.database, group=pipeline.name), bug) for number in (1, 2)
    )
    found = late_write(pipeline, zombie, successor, records)
    assert (found.refused > 0, found.repeated > 0) == (refused, not refused)
    pipeline.assert_store_is_fold()


def _wait_read(worker: Service, records: int) -> None:
    def all_read() -> bool:
        return fleet.metrics(worker, ["records_total"]).get("records_total", 0) >= records

    until(all_read, timeout_s=60, what="everything was delivered again", every_s=0.2)


def _shown(prepared: Prepared, database: str, *, bug: str) -> dict[str, int]:
    """What is wrong with the answers of a query service that has this bug."""
    pipeline, history = prepared.pipeline, prepared.history
    # Row level security would save whose filter is gone: that one reads as the owner of the tables.
    service = fleet.query(pipeline, database=database, role="owner" if bug == "tenant_filter_removed" else "query")
    keys = fleet.read_keys(pipeline, database=database)
    fleet.planted(service, bug).start()
    try:
        service.wait_ready()
        return broken(check_shown(history, accounts(history, prepared.places), url=service.url, keys=keys))
    finally:
        service.kill()


# -- gateway and client ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    running = Pipeline(stack)
    yield running
    running.close()


def _after_a_kill(pipeline: Pipeline, bug: str, *, slow: bool, **settings: str) -> dict[str, int]:
    """Kill -9 right after an answer; with `slow`, after one that took as long as Kafka may. The client linger is a second."""
    history = History()
    one = fleet.planted(fleet.gateway(pipeline, 1, AGENTTRACER_GATEWAY_LINGER_MS="1000", **settings), bug)
    sender = client(pipeline, history, [one], events=1_000)
    one.start()
    one.wait_ready()
    for _ in range(12 if slow else 4):
        lot = sender._source.next()
        assert lot is not None
        began = time.monotonic()
        sender.deliver(lot)
        if slow and time.monotonic() - began > 0.35:
            break
    one.kill()
    places = invariants.places_of(read_topic(pipeline))
    return broken([*invariants.check_answers(history), *invariants.check_topic(history, places)])


def test_the_checker_finds_answers_before_kafkas(pipeline: Pipeline) -> None:
    """202 before the records are acknowledged: a kill loses accepted events."""
    assert "lost" in _after_a_kill(pipeline, "ack_before_produce", slow=False)


def test_the_checker_finds_acceptance_on_timeout(pipeline: Pipeline) -> None:
    """202 although Kafka did not answer in time: a kill loses accepted events."""
    settings = {"AGENTTRACER_GATEWAY_REQUEST_DEADLINE_S": "0.4", "AGENTTRACER_GATEWAY_RECEIVE_TIMEOUT_S": "0.2"}
    assert "lost" in _after_a_kill(pipeline, "accepted_on_timeout", slow=True, **settings)


def test_the_checker_finds_a_drop_that_nobody_counts(pipeline: Pipeline) -> None:
    """An event that goes missing inside the gateway is lost, whatever the answer says."""
    assert "lost" in _after_a_kill(pipeline, "uncounted_drop", slow=False)


def test_the_checker_finds_nothing_in_a_healthy_gateway(pipeline: Pipeline) -> None:
    """Without a bug the same kill loses nothing that was accepted."""
    assert _after_a_kill(pipeline, "none", slow=False) == {}


def test_the_checker_finds_a_client_that_takes_503_for_yes(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's action for 503 is planted as acceptance; a gateway without Kafka answers so."""
    classify = response_action.classify_response

    def trusting(answer: GatewayResponse | None) -> ResponseAction:
        return ResponseAction(Action.DONE) if answer is not None and answer.status == 503 else classify(answer)

    monkeypatch.setattr(response_action, "classify_response", trusting)
    history = History()
    one = fleet.gateway(pipeline, 1, AGENTTRACER_GATEWAY_KAFKA_BOOTSTRAP=f"127.0.0.1:{free_port()}")
    sender = client(pipeline, history, [one], events=200)
    one.start()
    until(lambda: _is_healthy(one), timeout_s=60, what="the gateway answers")
    sender.run()
    assert sender.error is None
    assert "lost" in broken(invariants.check_topic(history, invariants.places_of(read_topic(pipeline))))


def _is_healthy(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False
