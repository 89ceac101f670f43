"""API keys as values, and the door that they open."""

import re
import string
import time
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, Counter

from agenttracer.wire import form
from servicekit.auth import keys as keys_module
from servicekit.auth.authenticate import Authenticator, is_loopback
from servicekit.auth.errors import ForbiddenError, UnauthenticatedError
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Caller, Pepper, Scope, StoredKey, id_of, new_key, recognise
from servicekit.auth.refusals import KeyRefusals, Refusal, RefusalReason
from servicekit.http.errors import HttpError
from servicekit.logs import Log
from servicekit.testing import PEPPER, MemoryKeys, cache_of

pytestmark = pytest.mark.anyio
Headers = list[tuple[bytes, bytes]]
LOOPBACK: Headers = [(b"host", b"127.0.0.1:8000")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def bearer(key: str) -> Headers:
    return [(b"host", b"gateway"), (b"authorization", b"Bearer " + key.encode())]


def refusal(access: Authenticator, headers: Headers) -> type[HttpError] | None:
    """The error that these headers are answered with; None where they are let in."""
    try:
        access.caller(headers)
    except HttpError as error:
        return type(error)
    return None


async def authenticator(keys: MemoryKeys, *, anonymous_project: str | None = None) -> tuple[Authenticator, KeyCache]:
    ring = cache_of(keys)
    await ring.refresh()
    return Authenticator(ring, scope=Scope.INGEST, anonymous_project=anonymous_project, again="ask again"), ring


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
    found = recognise(mangle(text), store.keys, peppers=[PEPPER], now=0.0)  # type: ignore[operator]  # one of the functions above
    assert (found is None) == (mangle(text) != text)  # type: ignore[operator]  # likewise
    assert done == [("digest", 48), ("compare", 32)]


def test_a_key_ends_when_it_says() -> None:
    """To the second, between two refreshes too."""
    store = MemoryKeys()
    text = store.create(Scope.READ, expires_at=100.0)
    assert recognise(text, store.keys, peppers=[PEPPER], now=99.9) == store.keys[id_of(text) or ""].caller
    assert recognise(text, store.keys, peppers=[PEPPER], now=100.0) is None


async def test_either_header_opens() -> None:
    """Bearer in any case of letters, or X-Api-Key."""
    keys = MemoryKeys()
    text = keys.create(Scope.INGEST, project="shop")
    access, _ = await authenticator(keys)
    for headers in (bearer(text), [(b"authorization", b"bearer  " + text.encode())], [(b"x-api-key", text.encode())]):
        assert access.caller(headers) == Caller(project="shop", key_id=id_of(text) or "", scopes=frozenset({Scope.INGEST}))


async def test_two_credentials_open_nothing() -> None:
    """Which of them would count is not for us to guess."""
    keys = MemoryKeys()
    text = keys.create(Scope.INGEST).encode()
    access, _ = await authenticator(keys, anonymous_project="default")
    for second in ((b"x-api-key", text), (b"authorization", b"Bearer " + text), (b"authorization", b"Basic eDp5")):
        assert refusal(access, [*LOOPBACK, (b"authorization", b"Bearer " + text), second]) is UnauthenticatedError


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
    access, _ = await authenticator(MemoryKeys(), anonymous_project="default")
    assert access.caller(LOOPBACK) == Caller(project="default", key_id="anonymous", scopes=frozenset({Scope.INGEST}))
    assert refusal(access, [*LOOPBACK, *offered]) is UnauthenticatedError


@pytest.mark.parametrize(
    ("host", "passes"), [("localhost", True), ("[::1]:8000", True), ("127.9.9.9", True), ("evil.example", False)]
)
async def test_anonymous_callers_use_a_loopback_name(host: str, passes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A page whose own name was made to resolve to this machine sends that name."""
    access, _ = await authenticator(MemoryKeys(), anonymous_project="default")
    assert refusal(access, [(b"host", host.encode())]) is (None if passes else UnauthenticatedError)
    assert refusal(access, []) is UnauthenticatedError


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("db", False)]
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An address that listens everywhere is not loopback."""
    assert is_loopback(host) is loopback


async def test_a_good_key_for_something_else_is_forbidden() -> None:
    """Scopes do not include each other, admin neither."""
    keys = MemoryKeys()
    access, ring = await authenticator(keys)
    for scope in (Scope.READ, Scope.ADMIN):
        text = keys.create(scope)
        await ring.refresh()
        assert refusal(access, bearer(text)) is ForbiddenError


class Elsewhere(MemoryKeys):
    """A store with keys that another installation's pepper hashed."""

    async def live_keys(self) -> Sequence[StoredKey]:
        return [StoredKey(caller=k.caller, secret_hash=k.secret_hash, pepper_id="other") for k in await super().live_keys()]


async def test_keys_of_another_pepper_are_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """They open nothing, and the log says why nothing does."""
    keys = Elsewhere()
    text = keys.create(Scope.INGEST)
    access, _ = await authenticator(keys)
    assert refusal(access, bearer(text)) is UnauthenticatedError
    assert "keys_of_another_pepper" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("name", [b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"])
async def test_a_proxy_lets_nobody_in_without_a_key(name: bytes) -> None:
    """What it passes on may come from anywhere, although it connects from this machine."""
    access, _ = await authenticator(MemoryKeys(), anonymous_project="default")
    assert refusal(access, [*LOOPBACK, (name, b"anything")]) is UnauthenticatedError


@pytest.mark.anyio
@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [b"127.0.0.1", b"127.0.0.1"],
        [b"127.0.0.1:evil"],
        [b"127.0.0.1:80:81"],
        [b"[::1]evil"],
        [b"[::1"],
        [b"localhost evil"],
        [b"evil@localhost"],
        [b"localhost:123456"],
    ],
)
async def test_a_host_header_has_exactly_its_form(hosts: list[bytes]) -> None:
    """One header with a name and perhaps a port; whatever only begins like this machine's name is another's."""
    access, _ = await authenticator(MemoryKeys(), anonymous_project="default")
    assert refusal(access, [(b"host", host) for host in hosts]) is UnauthenticatedError


@pytest.mark.anyio
async def test_refusals_are_told_by_reason_and_key_id() -> None:
    """Who offers what is heard of: the id of a key that exists, nothing of one that does not, and never a secret."""
    keys, told, now = MemoryKeys(), [], time.time()
    good, reading = keys.create(Scope.INGEST), keys.create(Scope.READ)
    expired = keys.create(Scope.INGEST, expires_at=now + 60)
    ring = KeyCache(
        keys, peppers=[PEPPER], refresh_s=60, stale_max_s=60, log=Log("test"), wall_clock=lambda: now + (60 if told else 0)
    )
    await ring.refresh()
    access = Authenticator(
        ring, scope=Scope.INGEST, anonymous_project=None, again="ask again", refused=lambda *said: told.append(said)
    )
    unknown = new_key(PEPPER).text
    wrong = good[:-1] + ("a" if good[-1] != "a" else "b")
    for key in (good, wrong, reading, expired, unknown, "canary"):
        refusal(access, bearer(key))
    refusal(access, [(b"host", b"gateway")])
    refusal(access, [*bearer(good), (b"x-api-key", good.encode())])
    assert told == [
        (RefusalReason.WRONG_SECRET, id_of(good)),
        (RefusalReason.WRONG_SCOPE, id_of(reading)),
        (RefusalReason.EXPIRED, id_of(expired)),
        (RefusalReason.UNKNOWN, None),
        (RefusalReason.MALFORMED, None),
        (RefusalReason.NO_KEY, None),
        (RefusalReason.SEVERAL_KEYS, None),
    ]


def test_a_refused_key_is_counted_each_time_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes on trying fills no log; another key, and the next minute, have lines of their own."""
    registry, times = CollectorRegistry(), iter((0.0, 0.0, 1.0, 1.0, 61.0, 61.0))
    counter = Counter("refused_total", "Refused.", ["reason"], registry=registry)
    noted: list[Refusal] = []
    refusals = KeyRefusals(Log("test"), counter, note=noted.append, clock_s=lambda: next(times))
    for _ in range(3):
        for key_id in ("abcdefghijkl", "mnopqrstuvwx"):
            refusals.refused(RefusalReason.WRONG_SECRET, key_id)
    assert registry.get_sample_value("refused_total", {"reason": "wrong_secret"}) == len(noted) == 6
    assert len(caplog.records) == 4


@pytest.mark.anyio
async def test_refusals_are_noted_once_a_minute_with_their_number() -> None:
    """Whatever waits meanwhile is kept, also while the store is away; kinds without end are not told apart by key."""
    keys, now = MemoryKeys(), [0.0]
    ring = KeyCache(keys, peppers=[PEPPER], refresh_s=60, stale_max_s=60, log=Log("test"), monotonic=lambda: now[0])
    for _ in range(3):
        ring.note_refusal((RefusalReason.WRONG_SCOPE, "abcdefghijkl"))
    await ring.refresh()
    assert keys.refused == {(RefusalReason.WRONG_SCOPE, "abcdefghijkl"): 3}
    for number in range(1_500):
        ring.note_refusal((RefusalReason.WRONG_SECRET, f"key{number:09d}"))
    await ring.refresh()
    assert keys.refused.total() == 3
    now[0], keys.away = 61.0, True
    await ring.refresh()
    keys.away = False
    await ring.refresh()
    assert keys.refused.total() == 1_503
    assert keys.refused[RefusalReason.WRONG_SECRET, None] == 500
    ring.note_refusal((RefusalReason.NO_KEY, None))
    await ring.start()
    await ring.close()
    assert keys.refused[RefusalReason.NO_KEY, None] == 1


@pytest.mark.anyio
async def test_keys_of_the_former_pepper_stay_good() -> None:
    """While clients change over both are; with the new pepper alone, the old key is refused, and the reason said."""
    former, keys = Pepper("the pepper of before, which is long enough"), MemoryKeys()
    old = new_key(former)
    caller = Caller(project="default", key_id=old.key_id, scopes=frozenset({Scope.INGEST}))
    keys.keys[old.key_id] = StoredKey(caller=caller, secret_hash=old.secret_hash, pepper_id=former.id)
    new = keys.create(Scope.INGEST)
    both, alone = (
        KeyCache(keys, peppers=peppers, refresh_s=60, stale_max_s=60, log=Log("test")) for peppers in ([PEPPER, former], [PEPPER])
    )
    for ring in (both, alone):
        await ring.refresh()
        assert ring.find(new) is not None
    assert both.find(old.text) == caller
    assert alone.find(old.text) is None
    assert alone.why_unknown(old.text) == (RefusalReason.OTHER_PEPPER, old.key_id)
