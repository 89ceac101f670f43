"""Numbers that identify somebody: payment cards, bank accounts, national ids, phones, addresses on the network. Pure.

Each function says whether a text of bounded length holds one, with whatever separators a name can have between the digits.
Every pattern is linear: digits and separators are disjoint classes, and no quantifier stands inside another of the same class.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_SEPARATOR: Final = r"[-_.:/+ ]"
_LONG_RUN: Final = re.compile(rf"[0-9](?:{_SEPARATOR}{{0,2}}[0-9]){{12,}}")
_DIGITS: Final = re.compile(r"[0-9]+")
_CARD_LENGTHS: Final = range(13, 20)
_ISSUERS: Final = (
    # first and last prefix, lengths: ISO/IEC 7812, as the networks publish them
    ("4", "4", (13, 16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16, 19)),
    ("644", "659", (16, 19)),
    ("3528", "3589", (16, 19)),
    ("62", "62", (16, 17, 18, 19)),
    ("5018", "5018", (16, 17, 18, 19)),
    ("6304", "6304", (16, 17, 18, 19)),
)
_IBAN: Final = re.compile(rf"(?<![A-Za-z0-9])[A-Za-z]{{2}}[0-9]{{2}}(?:{_SEPARATOR}{{0,2}}[A-Za-z0-9]){{11,30}}")
_IBAN_REGISTRY: Final = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22
GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19
MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 SV28 TL23 TN24 TR26 UA29 VA22 VG24
XK20
"""
_IBAN_LENGTHS: Final = {entry[:2]: int(entry[2:]) for entry in _IBAN_REGISTRY.split()}
_IN_A_LIST: Final = "".join(rf"(?<![0-9]{_SEPARATOR}{'[0-9]' * size}{_SEPARATOR})" for size in (1, 2, 3))
"""Two groups of digits stand before: `ip-10-0-123-45-6789` is a machine and a port."""
_SSN: Final = re.compile(
    rf"(?<![0-9]){_IN_A_LIST}(?!000|666|9)[0-9]{{3}}({_SEPARATOR})(?!00)[0-9]{{2}}\1(?!0000)[0-9]{{4}}(?![0-9])"
    rf"|(?<![a-z])ssn{_SEPARATOR}{{0,2}}[0-9]{{9}}(?![0-9])",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(
    rf"(?<![A-Za-z0-9])(?:\+|00)(?:{_SEPARATOR}?[1-9])(?:[-_.:/() ]{{0,2}}[0-9]){{7,14}}(?![0-9])"
    rf"|(?<![0-9])(?:1{_SEPARATOR})?\(?[2-9][0-9]{{2}}\)?{_SEPARATOR}{{1,2}}[2-9][0-9]{{2}}{_SEPARATOR}[0-9]{{4}}(?![0-9])"
    rf"|(?:tel|phone|fon|mobile|cell|call|sms|whatsapp){_SEPARATOR}{{0,3}}(?:{_SEPARATOR}?[0-9]){{9,15}}(?![0-9])",
    re.IGNORECASE,
)
_PHONE_DIGITS: Final = range(8, 16)
"""E.164: at most fifteen digits, the country's code among them."""
_COUNTRIES: Final = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689][0-9]|3[578][0-9]|42[013]|5[09][0-9]|6[789][0-9]|8[058][0-9]|"
    r"9[679][0-9]"
)
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4_DOTTED: Final = re.compile(rf"(?<![0-9vV])(?<![0-9vV]\.)(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?[0-9])")
_IPV4_OTHERWISE: Final = re.compile(
    rf"(?<![0-9])(?<![0-9][-_:/+ ]){_OCTET}([-_:/+ ])(?:{_OCTET}\1){{2}}{_OCTET}(?![-_:/+ ]?[0-9])"
)
_IPV4_DIGITS: Final = 7
"""So many at least, where other separators than dots stand: `1-2-3-4` is a place in a list."""
_IPV6: Final = re.compile(r"(?<![A-Za-z0-9])[0-9A-Fa-f:]{3,45}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![A-Za-z0-9])")
_IPV6_OTHERWISE: Final = re.compile(
    r"(?<![A-Za-z0-9])[0-9A-Fa-f]{1,4}([-_./])(?:[0-9A-Fa-f]{1,4}\1){6}[0-9A-Fa-f]{1,4}(?![A-Za-z0-9])"
)


def card(text: str) -> bool:
    """A payment card's number: digits that a known issuer gives out in that length, with the right check digit."""
    return any(_card_among(_DIGITS.findall(run[0])) for run in _LONG_RUN.finditer(text))


def _card_among(groups: list[str]) -> bool:
    """Whether some of the groups of digits, next to each other, are a card's."""
    for first in range(len(groups)):
        joined = ""
        for group in groups[first:]:
            joined += group
            if len(joined) >= _CARD_LENGTHS.stop:
                break
            if len(joined) in _CARD_LENGTHS and _issued(joined) and _luhn(joined):
                return True
    return False


def _issued(digits: str) -> bool:
    return any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of its two digits
    return total % 10 == 0


def iban(text: str) -> bool:
    """An international bank account number: a country's code, its length, and check digits that are right (ISO 13616)."""
    for found in _IBAN.finditer(text):
        plain = re.sub(_SEPARATOR, "", found[0]).upper()
        length = _IBAN_LENGTHS.get(plain[:2])
        if length is not None and len(plain) >= length and _mod_97(plain[:length]):
            return True
    return False


def _mod_97(account: str) -> bool:
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def national_id(text: str) -> bool:
    """A social security number of the United States, with separators, or after `ssn`."""
    return _SSN.search(text) is not None


def phone(text: str) -> bool:
    """A phone number: in E.164's form with `+` or `00`, in North America's form with separators, or after a word for phones."""
    for found in _PHONE.finditer(text):
        said = found[0]
        digits = "".join(_DIGITS.findall(said))
        if said.lstrip("-_.:/ ").startswith("+"):
            if len(digits) in _PHONE_DIGITS and _COUNTRIES.match(digits):
                return True
        elif digits.startswith("00"):
            if len(digits) - 2 in _PHONE_DIGITS[2:] and _COUNTRIES.match(digits, 2):
                return True
        else:
            return True
    return False


def ipv4(text: str) -> bool:
    """An IPv4 address, with dots, or with other separators and digits enough to be none by chance. `v1.2.3.4` is a version."""
    if _IPV4_DOTTED.search(text):
        return True
    for found in _IPV4_OTHERWISE.finditer(text):
        named = text[: found.start()].lower().rstrip("-_: ").endswith("ip")
        if named or sum(map(str.isdigit, found[0])) >= _IPV4_DIGITS:
            return True
    return False


def ipv6(text: str) -> bool:
    """An IPv6 address, whole or shortened; `a::b` without any digit is a name of a programming language."""
    if any(_is_ipv6(found[0]) for found in _IPV6.finditer(text)):
        return True
    groups = (re.split(r"[-_./]", found[0]) for found in _IPV6_OTHERWISE.finditer(text))
    return any(sum(any(map(str.isdigit, group)) for group in each) > 1 for each in groups)


def _is_ipv6(text: str) -> bool:
    if text.count(":") < 2 or not any(map(str.isdigit, text)):  # noqa: PLR2004 - the shortest has two
        return False
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
