"""Plain values of each kind, made up from a seed. None is real: cards and accounts have right check digits and nothing else."""

import base64
import json
import random
import string
from collections.abc import Callable, Mapping
from typing import Final

_ALNUM: Final = string.ascii_letters + string.digits
_NAMES: Final = ("anna", "john.smith", "m.mueller", "li_wei", "o.brien", "sara99", "first-last", "j.p.morgan", "kim", "info")
_HOSTS: Final = ("example.com", "gmail.com", "corp.example.org", "outlook.com", "uni-bonn.de", "mail.example.co.uk", "yahoo.com")
_CARDS: Final = (
    *[("4", 16)] * 3,
    ("4", 13),
    ("4", 19),
    *[(str(prefix), 16) for prefix in (51, 52, 53, 54, 55, 2221, 2530, 2720)],
    ("34", 15),
    ("37", 15),
    ("6011", 16),
    ("65", 16),
    ("3528", 16),
    ("3589", 16),
    ("36", 14),
    ("38", 14),
    ("62", 16),
)
_ACCOUNTS: Final = {"DE": 18, "FR": 23, "ES": 20, "AT": 16, "CH": 17, "BE": 12, "PT": 21, "PL": 24, "DK": 14, "NO": 11, "SE": 20}
_BANKS: Final = {"GB": ("NWBK", 14), "NL": ("ABNA", 10), "IE": ("AIBK", 14), "BG": ("BNBG", 14), "RO": ("AAAA", 16)}
_PHONES: Final = ("49151", "4930", "4420", "447", "3361", "39347", "34600", "9198", "8613", "8190", "5511", "35387", "41791")
_PROSE: Final = (
    "please refund the order of the customer",
    "the patient reports pain in the left arm",
    "what is the capital of france and why",
    "i want to cancel my subscription because it is too expensive",
    "summarize this document for the board of directors",
    "he said that she was at the office with them",
    "translate the following text to german for me",
    "my password is the name of my first dog",
    "how do i reset the router in the kitchen",
    "write an email to the manager about the delay",
    "user asked if we can ship to an island",
    "customer address changed last week and nobody told the warehouse team",
)
_FILLERS: Final = ("today", "again", "quickly", "now", "tomorrow", "yesterday", "twice", "soon")


def card(rng: random.Random) -> str:
    """A payment card's number."""
    prefix, length = rng.choice(_CARDS)
    digits = prefix + _digits(rng, length - 1 - len(prefix))
    return digits + _check_digit(digits)


def iban(rng: random.Random) -> str:
    """An international bank account number."""
    if rng.random() < 0.3:
        country = rng.choice(sorted(_BANKS))
        bank, length = _BANKS[country]
        account = bank + _digits(rng, length)
    else:
        country = rng.choice(sorted(_ACCOUNTS))
        account = _digits(rng, _ACCOUNTS[country])
    number = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"


def national_id(rng: random.Random) -> str:
    """A social security number, with its usual separators."""
    area = rng.choice([number for number in range(1, 900) if number != 666])
    return f"{area:03}-{rng.randrange(1, 100):02}-{rng.randrange(1, 10_000):04}"


def phone(rng: random.Random) -> str:
    """A phone number in E.164's form, or North America's."""
    if rng.random() < 0.4:
        return f"+1-{rng.randrange(200, 1000)}-{rng.randrange(200, 1000)}-{rng.randrange(10_000):04}"
    start = rng.choice(_PHONES)
    return f"+{start}{_digits(rng, rng.randint(11, 13) - len(start))}"


def email(rng: random.Random) -> str:
    """An address for mail."""
    return f"{rng.choice(_NAMES)}@{rng.choice(_HOSTS)}"


def ipv4(rng: random.Random) -> str:
    """An address of the internet's fourth protocol."""
    return ".".join(str(rng.randrange(10, 256)) for _ in range(4))


def ipv6(rng: random.Random) -> str:
    """An address of the sixth, whole or shortened."""
    groups = [f"{rng.randrange(16, 65_536):x}" for _ in range(8)]
    if rng.random() < 0.5:
        return ":".join(groups)
    return f"{rng.choice(('2001', 'fe80', 'fd12'))}:{groups[0]}::{groups[1]}:{groups[2]}"


def url(rng: random.Random) -> str:
    """A URL with a user, or a query."""
    host = rng.choice(("api.example.com", "db.internal", "example.org:8443", "localhost:5432"))
    if rng.random() < 0.5:
        return f"{rng.choice(('https', 'postgres', 'amqp', 'redis'))}://{rng.choice(_NAMES)}:{_token(rng, 10)}@{host}/x"
    return f"https://{host}/search?{rng.choice(('q', 'token', 'user', 'id'))}={_token(rng, 8)}"


def secret(rng: random.Random) -> str:
    """A credential with a form of its own."""
    makers: tuple[Callable[[], str], ...] = (
        lambda: _jwt(rng),
        lambda: rng.choice(("AKIA", "ASIA")) + "".join(rng.choices(string.ascii_uppercase + "234567", k=16)),
        lambda: rng.choice(("ghp_", "gho_", "ghs_")) + _token(rng, 36),
        lambda: rng.choice(("sk-", "sk-proj-", "sk-ant-api03-")) + _token(rng, 40),
        lambda: rng.choice(("xoxb-", "xoxp-")) + _digits(rng, 12) + "-" + _token(rng, 24),
        lambda: f"atk_{_token(rng, 12).lower()}_{_token(rng, 48)}",
        lambda: f"-----BEGIN {rng.choice(('RSA ', 'EC ', ''))}PRIVATE KEY-----",
        lambda: "AIza" + _token(rng, 35),
        lambda: "glpat-" + _token(rng, 20),
    )
    return rng.choice(makers)()


def prose(rng: random.Random) -> str:
    """A sentence that somebody wrote."""
    return f"{rng.choice(_PROSE)} {rng.choice(_FILLERS)}"


def entropy(rng: random.Random) -> str:
    """A random token of four bits a character and more."""
    while True:
        token = "".join(rng.choices(rng.choice((_ALNUM, _ALNUM, _ALNUM + "-_", _ALNUM + "+/")), k=rng.randint(22, 48)))
        if token[0].isalnum() and bits_a_character(token) >= 4:
            return token


def bits_a_character(text: str) -> float:
    """Shannon's entropy of its characters."""
    import math

    return -sum(text.count(char) / len(text) * math.log2(text.count(char) / len(text)) for char in set(text))


VALUES: Final[Mapping[str, Callable[[random.Random], str]]] = {
    "card": card,
    "iban": iban,
    "national_id": national_id,
    "phone": phone,
    "email": email,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "url": url,
    "secret": secret,
    "prose": prose,
    "entropy": entropy,
}
"""By detector."""


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(string.digits, k=count))


def _token(rng: random.Random, count: int) -> str:
    return "".join(rng.choices(_ALNUM, k=count))


def _check_digit(digits: str) -> str:
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def _jwt(rng: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": _digits(rng, 8), "name": rng.choice(_NAMES)})
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.{_token(rng, 43)}"
