"""How long a start is waited for."""

import time
from pathlib import Path

import pytest

from agenttracer_cli.errors import SettingsError
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.local_stack.start_deadline import Activity, StartDeadline, start_limit_s


def test_a_process_that_works_is_waited_for_up_to_the_limit() -> None:
    """A busy machine delays a start by minutes, and the process is not at fault."""
    deadline = StartDeadline(now=0.0, quiet_s=60, limit_s=600)
    for now in range(0, 600, 50):
        assert deadline.exceeded(Activity(busy_s=now * 0.1), now=now) is None
    assert "not ready after 600 s" in str(deadline.exceeded(Activity(busy_s=60.0), now=600))


def test_output_in_the_log_is_progress() -> None:
    """A server that waits for a slow disk uses no processor."""
    deadline = StartDeadline(now=0.0, quiet_s=60, limit_s=600)
    assert deadline.exceeded(Activity(0.0, log_bytes=10), now=50) is None
    assert deadline.exceeded(Activity(0.0, log_bytes=20), now=100) is None
    assert deadline.exceeded(Activity(0.0, log_bytes=20), now=159) is None
    assert deadline.exceeded(Activity(0.0, log_bytes=20), now=160) is not None


def test_a_process_that_only_idles_makes_no_progress() -> None:
    """A hung JVM still uses about one per cent of a processor."""
    deadline = StartDeadline(now=0.0, quiet_s=60, limit_s=600)
    for now in range(60):
        assert deadline.exceeded(Activity(busy_s=now * 0.01), now=now) is None
    assert "no progress for 60 s" in str(deadline.exceeded(Activity(busy_s=0.6), now=60))


def test_the_error_says_how_to_wait_longer() -> None:
    """It names the variable."""
    reason = StartDeadline(now=0.0, quiet_s=1, limit_s=10).exceeded(Activity(0.0), now=1)
    assert "AGENTTRACER_START_LIMIT_S" in str(reason)


def test_a_raised_limit_also_raises_the_time_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable is enough to wait longer for either reason."""
    monkeypatch.setenv("AGENTTRACER_START_LIMIT_S", "6000")
    deadline = StartDeadline(now=0.0)
    assert deadline.exceeded(Activity(0.0), now=599) is None
    assert deadline.exceeded(Activity(0.0), now=600) is not None


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "soon", "86401", "٣"])
def test_an_unsound_limit_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The value is not repeated."""
    monkeypatch.setenv("AGENTTRACER_START_LIMIT_S", text)
    with pytest.raises(SettingsError, match="AGENTTRACER_START_LIMIT_S must be") as refused:
        start_limit_s()
    assert f" {text} " not in str(refused.value)


def test_the_activity_of_this_process_grows_while_it_works(tmp_path: Path) -> None:
    """The kernel's figures are read for every thread."""
    process = OwnedProcess(state_dir=tmp_path, name="me")
    process.register_caller()
    before = process.activity().busy_s
    ends = time.monotonic() + 0.2
    while time.monotonic() < ends:
        pass
    assert process.activity().busy_s - before >= 0.1
