"""Queue, sender, delivery and spool together: the account adds up after every step of any story."""

import itertools
import json
import tempfile
import time
from collections import deque
from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agenttracer._config import Config
from agenttracer._events.pending_event import PendingRunEnd, PendingStep, RunHead
from agenttracer._export.pipeline import Pipeline
from agenttracer._export.transport import GatewayResponse
from agenttracer._export.waiting import Wakeup
from agenttracer.wire.vocabulary import DropReason, EndReason, RunEnd, StepKind

STEPS = 60
EXAMPLES = 350
"""21,000 steps of the story in sum."""
_STEPS_TAKEN = itertools.count()


def head(run_id: str) -> RunHead:
    """A run that began now."""
    begun = RunHead()
    begun.run_id, begun.started_us, begun.started_ns = run_id, time.time_ns() // 1_000, time.perf_counter_ns()
    return begun


class DiedError(BaseException):
    """The sender's thread is ended from outside, in the middle of a call."""


class ScriptedTransport:
    """Answers from the script; what it does not answer is a gateway away. Keeps what it accepted."""

    address = "http://gateway"
    problem = "it does not answer in time"

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.accepted: list[tuple[str, int]] = []

    def post(self, body: bytes, *, within_s: float | None = None) -> GatewayResponse | None:
        events = json.loads(body)["events"]
        word = self.script.popleft() if self.script else "202"
        if word == "die":
            raise DiedError
        if word == "hang":
            return None
        if word == "late":  # taken, but the answer got lost
            self._take(events, refused=set())
            return None
        refused = {0} if word == "partial" else set()
        status = 202 if word in {"202", "partial"} else int(word)
        if status == 202:
            self._take(events, refused=refused)
        text = json.dumps({"accepted": 0, "rejected": [{"index": index, "code": "range"} for index in refused]}).encode()
        return GatewayResponse(status=status, retry_after=None, body=text)

    def _take(self, events: list[dict[str, Any]], *, refused: set[int]) -> None:
        self.accepted += [(e["run_id"], e["seq"]) for index, e in enumerate(events) if "seq" in e and index not in refused]

    def close(self) -> None:
        pass


class Account(RuleBasedStateMachine):
    """`emitted = accepted + dropped + pending`, of which some are spooled, whatever happens in whatever order."""

    @initialize(spooling=strategies.booleans())
    def begin(self, spooling: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        self.directory = tempfile.TemporaryDirectory()
        config = Config(
            queue_max_events=30,
            batch_max_events=8,
            exit_timeout_s=0,
            spool_dir=self.directory.name if spooling else None,
            spool_max_bytes=16_000,
        )
        self.transport = ScriptedTransport()
        self.pipeline = Pipeline(config, agent_id="agent", agent_version="1")
        self.numbers = itertools.count()
        self.heads = [head(f"018f0000-0000-7000-8000-{number:012d}") for number in range(3)]
        self.given: set[tuple[str, int]] = set()
        self._wire()

    def _wire(self) -> None:
        """No thread and no network: a story's rules do what they would do."""
        pipeline = self.pipeline
        pipeline._exporter.queue._start_sender = lambda: None
        exporter = pipeline._exporter
        self.sender, self.delivery, self.queue = exporter._sender, exporter._sender._delivery, exporter.queue
        self.delivery._connect = lambda: self.transport  # type: ignore[assignment,return-value]  # a stand-in
        self.naps = 3
        self.delivery._waiter.sleep = self._sleep  # type: ignore[method-assign]  # a stand-in

    def _sleep(self, _seconds: float, *, skippable: bool) -> bool:
        """Waiting is over at once, a few times; then the end of the process comes, as the delivery sees it."""
        if self.delivery._waiter._while_sleeping is not None:
            self.delivery._waiter._while_sleeping()
        self.naps -= 1
        return self.naps > 0

    @rule(run=strategies.integers(0, 2), entries=strategies.integers(0, 3), times=strategies.integers(1, 12))
    def step(self, run: int, entries: int, times: int) -> None:
        for _ in range(times):
            step = PendingStep()
            step.run, step.kind, step.name, step.attempt = self.heads[run], StepKind.TOOL, "lookup", 1
            step.seq = next(self.numbers)
            step.bits, step.parent_bits, step.cause_bits, step.evidence = step.seq + 1, 0, 0, None
            step.began_ns = step.ended_ns = self.heads[run].started_ns
            step.facts = None
            step.metadata = {f"key{number}": number for number in range(entries)} or None
            self.given.add((step.run.run_id, step.seq))
            self.queue.put_step(step)

    @rule(run=strategies.integers(0, 2))
    def run_end(self, run: int) -> None:
        head = self.heads[run]
        end = PendingRunEnd()
        end.run, end.seq, end.ended_ns, end.emitted = head, next(self.numbers), head.started_ns, 1
        end.status, end.reason, end.evidence, end.cause_bits = RunEnd.SUCCESS, EndReason.COMPLETED, None, 0
        self.given.add((head.run_id, end.seq))
        self.queue.put_control(end)

    @rule(
        script=strategies.lists(
            strategies.sampled_from(["202", "202", "429", "413", "503", "hang", "late", "400", "401", "partial", "die"]),
            max_size=5,
        )
    )
    def send(self, script: list[str]) -> None:
        """What the thread does when it wakes, with the gateway in some mood."""
        self.transport.script = deque(script)
        self.naps = 3
        self.delivery._paused_until = 0.0
        try:
            self.sender._send_waiting()
        except DiedError:
            self.queue.unattended = True

    @rule()
    def move_to_spool(self) -> None:
        self.pipeline._exporter._reader.move_to_spool()

    @rule()
    def disk_full(self) -> None:
        if self.pipeline._exporter._spool_delivery is not None and next(_STEPS_TAKEN) % 5 == 0:
            self.pipeline._exporter._spool_delivery._directory.disable()

    @rule()
    def fork(self) -> None:
        """The child starts from nothing and adds up; the parent does not notice."""
        parent, child = self.pipeline, Pipeline(self.pipeline._config, agent_id="agent", agent_version="1")
        child.reset_after_fork()
        stats = child.stats()
        assert (stats.emitted, stats.pending, stats.spooled, stats.dropped) == (0, 0, 0, {})
        child.close(0)
        assert self.pipeline is parent

    @precondition(lambda self: not self.queue.closed)
    @rule()
    def settled(self) -> None:
        """With a gateway that accepts, everything that was not dropped arrives, after deaths and all."""
        self.transport.script = deque()
        self.delivery._paused_until = 0.0
        listener = Wakeup()
        self.delivery._waiter.listeners.append(listener)
        self.sender._send_waiting()
        self.delivery._waiter.listeners.remove(listener)
        stats = self.pipeline.stats()
        assert stats.pending == 0
        assert stats.accepted <= len(set(self.transport.accepted))
        assert self.queue.is_past(self.queue.position())

    @rule(odds=strategies.integers(0, 8))
    def close(self, odds: int) -> None:
        if odds == 0:
            self.pipeline.close(0)

    @invariant()
    def adds_up(self) -> None:
        next(_STEPS_TAKEN)
        if not hasattr(self, "pipeline"):
            return
        stats = self.pipeline.stats()
        assert stats.emitted == stats.accepted + sum(stats.dropped.values()) + stats.pending == len(self.given)
        assert 0 <= stats.spooled <= stats.pending
        assert self.queue.waiting <= 30
        assert set(self.transport.accepted) <= self.given
        assert stats.dropped.get(DropReason.INTERNAL, 0) == stats.internal_errors == 0

    def teardown(self) -> None:
        if hasattr(self, "pipeline"):
            self.pipeline.close(0)
            self.pipeline.unregister()
            self.directory.cleanup()


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
