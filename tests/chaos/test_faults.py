"""The injector: only what took effect is a fault, and as many as were asked for take effect all the same."""

from types import SimpleNamespace
from typing import Any

from tests.chaos.faults import Injector


class BareCrew:
    """Nobody is at work and no connection is open: only the servers are there to be crashed."""

    workers: tuple[Any, ...] = ()
    gateways: tuple[Any, ...] = ()
    paused: tuple[Any, ...] = ()

    query = SimpleNamespace(pid=None)

    def crash(self, name: str) -> str:
        return name

    def revive(self) -> None: ...

    def add_worker(self) -> None: ...

    def cut_connections(self) -> None: ...

    def rewind(self, share: float) -> None: ...


def test_what_has_no_effect_is_not_counted() -> None:
    """With nobody to kill, pause or remove, each fault becomes one that is possible, and says what it stands for."""
    injector = Injector(BareCrew(), count=64, spread_s=0.0, seed=3)  # type: ignore[arg-type]
    injector.run()
    assert injector.error is None
    assert len(injector.log) == 64
    assert injector.counts.keys() == {"postgres_crashed", "broker_crashed"}
    assert "worker_killed" in {entry.get("instead_of") for entry in injector.log}
