import stat
import threading
from pathlib import Path

import pytest

from agenttracer_cli.errors import StateError
from agenttracer_cli.local_stack.files import append_log, locked, open_state_dir, secret, write_atomically


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The second call gives the same secret, from a file with mode 0600 in a folder with mode 0700."""
    path = tmp_path / "secrets" / "role"
    first = secret(path)
    assert secret(path) == first
    assert len(first) == 48
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_atomic_write_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    """After two writes the folder holds one file with the second text."""
    path = tmp_path / "file"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "two"


def test_a_log_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    """A log over 16 MiB starts anew, and the old one stays beside it."""
    path = tmp_path / "x.log"
    with path.open("wb") as log:
        log.truncate(17 * 1024 * 1024)
    with append_log(path) as log:
        assert log.tell() == 0
    assert (tmp_path / "x.log.1").exists()


def test_a_state_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    """A file in the way is a StateError that names the way out."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="AGENTTRACER_STATE_DIR"):
        open_state_dir(tmp_path / "file" / "state")


def test_a_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    """`waiting` is called, and the block entered only when the first holder has left."""
    order = []
    first_waits = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock", waiting=first_waits.set):
            order.append("second")

    with locked(tmp_path / "lock", waiting=lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert first_waits.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_nobody_else_looks_into_a_state_directory(tmp_path: Path) -> None:
    """A new one, an empty one and one of ours are closed to others; a folder with other things in it is left as it is."""
    empty, ours, home = (tmp_path / name for name in ("empty", "ours", "home"))
    for folder in (empty, ours, home):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    (ours / "secrets").mkdir()
    (home / "letters").touch()
    for folder, mode in ((tmp_path / "new", 0o700), (empty, 0o700), (ours, 0o700), (home, 0o755)):
        assert stat.S_IMODE(open_state_dir(folder).stat().st_mode) == mode
