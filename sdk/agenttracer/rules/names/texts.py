"""Texts that no name is: addresses for mail, URLs that carry more than a place, credentials, sentences, random tokens. Pure."""

import math
import re
from typing import Final

from agenttracer.rules.names.words import FUNCTION_WORDS, KNOWN_WORDS, LONGEST_WORD, SHORTEST_WORD

_EMAIL: Final = re.compile(r"[\w._%+-]{1,64}@(?:[\w-]{1,63}\.){1,4}[^\W\d_]{2,24}(?![^\W_])")
_AT: Final = r"(?:[-_.:+/ ]{1,2}|[(\[])at(?:[-_.:+/ ]{1,2}|[)\]])"
_EMAIL_SPELLED: Final = re.compile(
    rf"[a-z0-9]{_AT}[a-z0-9][a-z0-9_-]{{0,62}}(?:\.[a-z0-9-]{{1,62}}){{0,3}}"
    r"(?:\.(?:com|org|net|edu|gov|info|biz|io|ai|co|dev|app|de|uk|fr|ch|at|eu|nl|es|it|ru|cn|jp|in|br|us|ca|au)"
    r"|(?:[-_:+/ ]|[-_. (]{1,2}dot[-_. )]{1,2})(?:com|org|net|edu|gov|info|biz|de|uk|fr))(?![a-z0-9])",
    re.IGNORECASE,
)
_MAILBOX: Final = re.compile(
    r"[a-z0-9][-_.:/+ ]{1,2}(?:gmail|googlemail|hotmail|outlook|yahoo|ymail|icloud|proton|protonmail|gmx|aol|web)"
    r"[-_.](?:com|net|org|de|fr|me|co)(?![a-z0-9])",
    re.IGNORECASE,
)
_URL: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{1,15}:/{1,2}(?:[^\s/@?#]{1,128}@|[^\s?#]{1,200}[?#][^\s]{0,64}=)|\?[\w.-]{1,32}="
)
_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{10}"  # a JSON Web Token's head is `{"` in base64
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|(?<![a-z0-9])a[ks]ia(?=[a-z]*[2-7][a-z]*[2-7])[a-z2-7]{16}(?![a-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{16}|github_pat_[A-Za-z0-9_]{20}"
    r"|(?<![A-Za-z0-9])[sprk]k[-_](?:[a-z0-9]{1,8}[-_]){0,3}(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9]{16}"
    r"|(?<![A-Za-z0-9])sk[-_](?:[a-z]{2,8}[-_]){0,2}(?=[a-z]*[0-9])[a-z0-9]{20}"
    r"|xox[abeposr]-[A-Za-z0-9-]{10}|xapp-[0-9]-[A-Z0-9]{8}"
    r"|atk_[a-z0-9]{12}_"
    r"|-----(?:BEGIN|begin)|(?:BEGIN|END)[-_ +.](?:[A-Z0-9]{2,10}[-_ +.]){0,2}(?:PRIVATE|CERTIFICATE)"
    r"|AIza[A-Za-z0-9_-]{30}|(?:glpat|GLPAT)-[A-Za-z0-9_-]{16}|hf_[A-Za-z0-9]{24}|npm_[A-Za-z0-9]{30}|pypi-[A-Za-z0-9_-]{30}"
    r"|SG\.[A-Za-z0-9_-]{16}|dop_v1_[a-f0-9]{32}|ya29\.[A-Za-z0-9_-]{16}"
)
_BLANK_WORDS_MIN: Final = 5
_HYPHENED_WORDS_MIN: Final = 8
_FUNCTION_WORDS_MIN: Final = 3
_HYPHENS: Final = re.compile(r"[-+\s]+")
_CONTEXT: Final = re.compile(r"[:/_.]")
"""Before the first word of a sentence, or after the last, there may be something else."""
_ENTROPY_CHARS_MIN: Final = 20
_ENTROPY_BITS_MIN: Final = 4.0
_PIECE: Final = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_LETTERS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_MIXED: Final = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{8}|[A-Za-z0-9]*[a-z][A-Z][A-Za-z0-9]*")
_MIXED_CHARS_MIN: Final = 8
_CAMEL_CHARS_MIN: Final = 4
"""Capitals further apart than that begin words, be they known or not."""
_HEX: Final = re.compile(r"[0-9a-fA-F-]*")


def email(text: str) -> bool:
    """An address for mail, its sign written in whatever way, or what is left of one before a well-known host of mailboxes."""
    if "@" in text and _EMAIL.search(text):
        return True
    return _EMAIL_SPELLED.search(text) is not None or _MAILBOX.search(text) is not None


def url(text: str) -> bool:
    """A URL with a user or a query, or the query alone. A place alone is a name."""
    return ("/" in text or "?" in text) and _URL.search(text) is not None


def secret(text: str) -> bool:
    """A credential of a form of its own: keys and tokens of the well-known services, private keys, signed tokens."""
    return _SECRET.search(text) is not None


def prose(text: str) -> bool:
    """A sentence: five words with blanks between, or eight with hyphens, or three with hyphens that only sentences need."""
    if sum(map(str.isalpha, text.split())) >= _BLANK_WORDS_MIN:
        return True
    first, *others = _HYPHENS.split(text)
    pieces = [_CONTEXT.split(first)[-1], *others[:-1], *(_CONTEXT.split(last)[0] for last in others[-1:])]
    words = [piece for piece in pieces if piece.isalpha()]
    return len(words) >= _HYPHENED_WORDS_MIN or sum(word.lower() in FUNCTION_WORDS for word in words) >= _FUNCTION_WORDS_MIN


def entropy(text: str) -> bool:
    """A random token: twenty characters without any known word, four bits each, letters mixed with digits or capitals.

    Digits of hexadecimal ids have less than four bits each.
    """
    run: list[str] = []
    for piece in [*_PIECE.findall(text), ""]:
        if piece and not _holds_word(piece):
            run.append(piece)
            continue
        if _random("".join(run)):
            return True
        run = []
    return False


def _random(run: str) -> bool:
    run = run.strip("-_.:/+ ")
    if len(run) < _ENTROPY_CHARS_MIN or _HEX.fullmatch(run):
        return False
    if not any(map(str.isdigit, run)) and len(run) >= _CAMEL_CHARS_MIN * len(_LETTERS.findall(run)):
        return False
    mixed = any(len(piece) >= _MIXED_CHARS_MIN and _MIXED.match(piece) for piece in _PIECE.findall(run))
    return mixed and bits_a_character(run) >= _ENTROPY_BITS_MIN


def bits_a_character(text: str) -> float:
    """Shannon's entropy of its characters."""
    counts = [text.count(char) for char in set(text)]
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _holds_word(piece: str) -> bool:
    """Whether a part of it, as capitals and digits cut it, is a known word or begins or ends with one."""
    return any(_is_word(part.lower()) for part in _LETTERS.findall(piece) if len(part) >= SHORTEST_WORD)


def _is_word(part: str) -> bool:
    if part in KNOWN_WORDS:
        return True
    # A word of five letters by chance in a random token is rare enough; one of four is not.
    ends = range(SHORTEST_WORD + 1, min(LONGEST_WORD, len(part)) + 1)
    return any(part[:end] in KNOWN_WORDS or part[-end:] in KNOWN_WORDS for end in ends)
