"""What counts as reached: a benchmark must not end well with a target missed."""

from typing import Any

import pytest

from tests.benchmarks import bench_gateway, gateway_sizes, verdict, worker_freshness, worker_rate, worker_scale


def rate(**changed: Any) -> dict[str, Any]:
    found = {
        "events": 1_000_008,
        "ratio": 0.8,
        "worker": {"events_per_s": 800.0},
        "ceiling_events_per_s": 1_000.0,
        "two_workers": {"speedup": 1.6, "cores": 4},
    }
    return found | changed


def freshness(*, half_rate: float = 900.0, thin: float = 40.0, sent: int = 100) -> dict[str, Any]:
    loaded = {"p99_ms": half_rate, "sent_events_per_s": sent, "wanted_events_per_s": 100}
    return {"half_rate": loaded, "thin": {"p99_ms": thin, "events_per_s": 10}}


def scale(*, ratio: float = 1.1, stored: int = 10_000_000, slope: float = 0.0, error: float = 1.0) -> dict[str, Any]:
    memory = {
        "bytes_per_million_events": slope,
        "standard_error": error,
        "first_third_mib": 160.0,
        "last_third_mib": 160.0,
    }
    return {"cpu_ratio": ratio, "stored_events": stored, "memory": memory}


def gateway(*, native: float = 0.7, otlp: float = 0.3) -> dict[str, Any]:
    side = {"events_per_s_per_core": 1_000.0}
    return {way: {"ratio": ratio, "gateway": side, "ceiling": side} for way, ratio in (("native", native), ("otlp", otlp))}


def sizes(**costs: float) -> dict[str, Any]:
    """Of requests that cost 300 us and 7 an event, but for the changed ones: us an event by events a request."""
    least = {size: 300 / size + 7 for size in bench_gateway.SIZES} | {int(size[1:]): cost for size, cost in costs.items()}
    by_size = gateway_sizes.on_a_line({size: [3 * cost, cost, cost / 2] for size, cost in least.items()})
    return {"native": gateway()["native"] | {"by_size": by_size | {"floor": {"fitted_us_a_request": 170.0}}}}


@pytest.mark.parametrize(
    ("targets", "passed"),
    [
        (worker_rate.targets(rate()), [True, True]),
        (worker_rate.targets(rate(ratio=0.59)), [False, True]),
        (worker_rate.targets(rate(events=900_000)), [None, True]),
        (worker_rate.targets(rate(two_workers={"speedup": 1.4, "cores": 4})), [True, False]),
        (worker_rate.targets(rate(two_workers={"speedup": 1.4, "cores": 2})), [True, None]),
        (worker_freshness.targets(freshness()), [True, True, True]),
        (worker_freshness.targets(freshness(half_rate=1_001)), [False, True, True]),
        (worker_freshness.targets(freshness(sent=94)), [True, False, True]),
        (worker_freshness.targets(freshness(thin=251)), [True, True, False]),
        (worker_scale.targets(scale()), [True, True]),
        (worker_scale.targets(scale(ratio=1.16)), [False, True]),
        (worker_scale.targets(scale(stored=3_000_000)), [None, True]),
        (worker_scale.targets(scale(slope=2**21, error=2**19)), [True, False]),
        (worker_scale.targets(scale(slope=2**21, error=2**20)), [True, True]),
        (bench_gateway.targets(gateway()), [True, True]),
        (bench_gateway.targets(gateway(native=0.49)), [False, True]),
        (bench_gateway.targets(gateway(otlp=0.24)), [True, False]),
        (bench_gateway.targets(sizes()), [True, True]),
        (bench_gateway.targets(sizes(_5000=9.0)), [True, True]),
        (bench_gateway.targets(sizes(_5000=14.0)), [True, False]),
        (bench_gateway.targets(sizes(_100=20.0)), [True, False]),
    ],
)
def test_each_target_has_its_verdict(targets: list[verdict.Target], passed: list[bool | None]) -> None:
    """Reached, missed, or not judged where the run was too small or the machine is."""
    assert [target.passed for target in targets] == passed
    assert verdict.exit_code(targets) == (False in passed)
    assert [one["passed"] for one in verdict.as_json(targets).values()] == passed
    assert verdict.table(targets).count("MISSED") == passed.count(False)


def test_a_line_is_found() -> None:
    """What a request costs and what an event does, where both are exact; then all sizes lie on the line."""
    found = sizes()["native"]["by_size"]
    assert found["fitted_us_a_request"] == pytest.approx(300)
    assert found["fitted_us_an_event"] == pytest.approx(7)
    assert list(found["beside_the_line"].values()) == pytest.approx([1.0] * len(bench_gateway.SIZES))
