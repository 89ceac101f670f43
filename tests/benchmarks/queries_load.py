"""Traffic at a given pace for as long as questions are asked: rounds of it, each prepared during the one before."""

import json
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from tests.support.pipeline import Pipeline

ROUND_S: Final = 20.0
_AHEAD_US: Final = 60_000_000  # runs of two rounds have other ids


class Load:
    """Traffic to a pipeline's topic while the block lasts; `sent` and `seconds` tell its pace afterwards."""

    def __init__(self, pipeline: Pipeline, *, events_per_s: float, round_s: float = ROUND_S) -> None:
        self._pipeline = pipeline
        self._events_per_s = events_per_s
        self._round_s = round_s
        self._stop = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._began.wait(timeout=120)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        base_us, began = time.time_ns() // 1000, time.monotonic()
        feed = self._prepared(base_us)
        while True:
            _say(feed, "go")
            self._began.set()
            base_us += _AHEAD_US
            following = None if self._stop.is_set() else self._prepared(base_us)
            told = json.loads(_line(feed))
            feed.communicate()  # it has ended: this closes its pipes
            self.sent += int(told["events"])
            self.seconds = time.monotonic() - began
            if following is None:
                return
            feed = following

    def _prepared(self, base_us: int) -> "subprocess.Popen[str]":
        work: dict[str, Any] = {
            "way": "topic",
            "bootstrap": self._pipeline.stack.bootstrap,
            "topic": self._pipeline.topic,
            "events_per_s": self._events_per_s,
            "seconds": self._round_s,
            "base_us": base_us,
        }
        command = [sys.executable, "-m", "tests.benchmarks.worker_feed"]
        feed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _say(feed, json.dumps(work))
        assert _line(feed) == "ready\n"
        return feed


def _say(feed: "subprocess.Popen[str]", line: str) -> None:
    assert feed.stdin is not None
    feed.stdin.write(line + "\n")
    feed.stdin.flush()


def _line(feed: "subprocess.Popen[str]") -> str:
    assert feed.stdout is not None
    return feed.stdout.readline()
