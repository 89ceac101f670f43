"""API keys as values, and the door that they open."""

import re
import string
from collections.abc import Sequence

import pytest

from agenttracer.wire import form
from servicekit import keys as keys_module
from servicekit.access import Access, Refusal, is_loopback
from servicekit.key_ring import KeyRing
from servicekit.keys import Caller, Pepper, Scope, StoredKey, id_of, new_key, recognise
from servicekit.testing import PEPPER, MemoryKeys, ring_of

pytestmark = pytest.mark.anyio
Headers = list[tuple[bytes, bytes]]
LOOPBACK: Headers = [(b"host", b"127.0.0.1:8000")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def bearer(key: str) -> Headers:
    return [(b"host", b"gateway"), (b"authorization", b"Bearer " + key.encode())]


async def door(keys: MemoryKeys, *, anonymous_project: str | None = None) -> tuple[Access, KeyRing]:
    ring = ring_of(keys)
    await ring.refresh()
    return Access(ring, scope=Scope.INGEST, anonymous_project=anonymous_project), ring


def test_a_key_is_random_and_url_safe_and_no_name() -> None:
    """Its secret has more than 256 bits; the whole fits no name, so that it is never stored as a label or logged."""
    made = [new_key(PEPPER) for _ in range(50)]
    assert len({key.key_id for key in made}) == len({key.text for key in made}) == 50
    for key in made:
        assert re.fullmatch(r"atk_[a-z0-9]{12}_[A-Za-z0-9]{48}", key.text)
        assert not form.is_name(key.text)
        assert id_of(key.text) == key.key_id
        assert key.text.rpartition("_")[2] not in repr(key)
    used = set("".join(key.text[17:] for key in made))
    assert used == set(string.ascii_letters + string.digits)
    assert 48 * 5.95 > 256


def test_what_is_stored_depends_on_the_pepper() -> None:
    """A copy of the store opens nothing, nor does it say which pepper it needs."""
    other = Pepper("another pepper, long enough to be one")
    assert PEPPER.digest("s") != other.digest("s")
    assert PEPPER.id != other.id
    assert PEPPER.id == Pepper("only-for-tests-" * 3).id
    with pytest.raises(ValueError, match="at least 32"):
        Pepper("short")


@pytest.mark.parametrize(
    "mangle", [lambda key: "", lambda key: "é" * 65, lambda key: "atk_" + "a" * 12 + key[16:], lambda key: key]
)
def test_the_same_work_for_whatever_is_offered(monkeypatch: pytest.MonkeyPatch, mangle: object) -> None:
    """One hash of equal length and one comparison, for a good key as for a malformed or an unknown one."""
    done: list[tuple[str, int]] = []
    digest, compare = Pepper.digest, keys_module.hmac.compare_digest

    def counted(self: Pepper, secret: str) -> bytes:
        done.append(("digest", len(secret)))
        return digest(self, secret)

    def compared(left: bytes, right: bytes) -> bool:
        done.append(("compare", len(right)))
        return compare(left, right)

    store = MemoryKeys()
    text = store.create(Scope.INGEST)
    monkeypatch.setattr(Pepper, "digest", counted)
    monkeypatch.setattr(keys_module.hmac, "compare_digest", compared)
    found = recognise(mangle(text), store.keys, pepper=PEPPER, now=0.0)  # type: ignore[operator]  # one of the functions above
    assert (found is None) == (mangle(text) != text)  # type: ignore[operator]  # likewise
    assert done == [("digest", 48), ("compare", 32)]


def test_a_key_ends_when_it_says() -> None:
    """To the second, between two refreshes too."""
    store = MemoryKeys()
    text = store.create(Scope.READ, expires_at=100.0)
    assert recognise(text, store.keys, pepper=PEPPER, now=99.9) == store.keys[id_of(text) or ""].caller
    assert recognise(text, store.keys, pepper=PEPPER, now=100.0) is None


async def test_either_header_opens() -> None:
    """Bearer in any case of letters, or X-Api-Key."""
    keys = MemoryKeys()
    text = keys.create(Scope.INGEST, project="shop")
    access, _ = await door(keys)
    for headers in (bearer(text), [(b"authorization", b"bearer  " + text.encode())], [(b"x-api-key", text.encode())]):
        assert access.caller(headers) == Caller(project="shop", key_id=id_of(text) or "", scopes=frozenset({Scope.INGEST}))


async def test_two_credentials_open_nothing() -> None:
    """Which of them would count is not for us to guess."""
    keys = MemoryKeys()
    text = keys.create(Scope.INGEST).encode()
    access, _ = await door(keys, anonymous_project="default")
    for second in ((b"x-api-key", text), (b"authorization", b"Bearer " + text), (b"authorization", b"Basic eDp5")):
        assert access.caller([*LOOPBACK, (b"authorization", b"Bearer " + text), second]) is Refusal.UNAUTHENTICATED


@pytest.mark.parametrize(
    "offered",
    [
        [(b"authorization", b"")],
        [(b"authorization", b"Basic eDp5")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"atk_aaaaaaaaaaaa_" + b"0" * 48)],
    ],
)
async def test_a_wrong_key_is_refused_where_none_would_do(offered: Headers) -> None:
    """A slip in the key must not turn into anonymous access."""
    access, _ = await door(MemoryKeys(), anonymous_project="default")
    assert access.caller(LOOPBACK) == Caller(project="default", key_id="anonymous", scopes=frozenset({Scope.INGEST}))
    assert access.caller([*LOOPBACK, *offered]) is Refusal.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("host", "passes"), [("localhost", True), ("[::1]:8000", True), ("127.9.9.9", True), ("evil.example", False)]
)
async def test_anonymous_callers_use_a_loopback_name(host: str, passes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A page whose own name was made to resolve to this machine sends that name."""
    access, _ = await door(MemoryKeys(), anonymous_project="default")
    assert (access.caller([(b"host", host.encode())]) is Refusal.UNAUTHENTICATED) != passes
    assert access.caller([]) is Refusal.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("db", False)]
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An address that listens everywhere is not loopback."""
    assert is_loopback(host) is loopback


async def test_a_good_key_for_something_else_is_forbidden() -> None:
    """Scopes do not include each other, admin neither."""
    keys = MemoryKeys()
    access, ring = await door(keys)
    for scope in (Scope.READ, Scope.ADMIN):
        text = keys.create(scope)
        await ring.refresh()
        assert access.caller(bearer(text)) is Refusal.FORBIDDEN


class Elsewhere(MemoryKeys):
    """A store with keys that another installation's pepper hashed."""

    async def live_keys(self) -> Sequence[StoredKey]:
        return [StoredKey(caller=k.caller, secret_hash=k.secret_hash, pepper_id="other") for k in await super().live_keys()]


async def test_keys_of_another_pepper_are_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """They open nothing, and the log says why nothing does."""
    keys = Elsewhere()
    text = keys.create(Scope.INGEST)
    access, _ = await door(keys)
    assert access.caller(bearer(text)) is Refusal.UNAUTHENTICATED
    assert "keys_of_another_pepper" in caplog.text
