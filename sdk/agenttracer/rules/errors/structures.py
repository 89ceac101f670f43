"""Errors in JSON, and in pages that a browser or a scraper returned: which part of the text tells of it."""

import re
from typing import Final

from agenttracer.rules.errors.text import pattern

_ERROR_MEMBER: Final = (
    r"(?i)[\"'](?:error|errors|exception|fault|err|error_?messages?|error_?msg|error_?code|error_?type|"
    r"error_?details?|traceback|stack_?trace|"
    r"failure_?reason|error_?description)[\"']\s{0,4}:\s{0,4}+(?!null|none|nil|false|\[\s{0,4}\]|\{\s{0,4}\}|\"\"|''|[\"']?0\b|"
    r"[\"'](?:none|null|ok|no[ _]error|success)[\"'])"
)
_ERROR_FLAG: Final = (
    r"(?i)[\"'](?:(?:is_?error|has_?error|failed)[\"']\s{0,4}:\s{0,4}true|(?:success|ok|succeeded|"
    r"is_?success)[\"']\s{0,4}:\s{0,4}false|"
    r"(?:status|result|type|outcome)[\"']\s{0,4}:\s{0,4}[\"'](?:error|fail|failure|exception|fatal)[\"']|"
    r"(?:exit_?code|return_?code|returncode|exit_?status)[\"']\s{0,4}:\s{0,4}[\"']?[1-9])"
)
_ERROR_STATUS: Final = r"(?i)[\"'](?:status|status_?code|http_?status|code)[\"']\s{0,4}:\s{0,4}[\"']?[45][0-9]{2}\b"
_TELLING: Final = (
    r"(?i)[\"'](?:e(?:rr|x)|fa|trace|stack|(?:is|has)_?(?:err|suc)|suc|ok|status|result|type|outcome|return|http|code)"
)
"""How every member of the three above begins: most results have none, and are looked at once."""
_REASON_MEMBER: Final = r"(?i)[\"'](?:message|detail|details|title|reason|msg)[\"']\s{0,4}:"
_FIRST_MEMBER: Final = (
    r"(?i)\{\s{0,8}[\"'](?:message|detail|status[\"']\s{0,4}:\s{0,4}[\"'](?:failed|denied|timeout|timed_out|"
    r"unauthorized|forbidden))[\"']"
)
_STRINGS: Final = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?"


def json_error(body: str, *, short: bool) -> str | None:
    """The part of a JSON value, or of what a language shows of one, that says that it is an error; None where none does."""
    if pattern(_TELLING).search(body) is None:
        return None
    member = _member(_ERROR_MEMBER, body)
    if member is not None:
        return body[member.start() :]
    if _member(_ERROR_FLAG, body) is not None:
        return body
    if not short:
        return None
    if _member(_ERROR_STATUS, body) is not None and pattern(_REASON_MEMBER).search(body) is not None:
        return body
    return None


def json_reason(body: str) -> bool:
    """Whether a short JSON value is a reason first of all: `{"detail": …}`. Of an error only if the words are known."""
    return pattern(_FIRST_MEMBER).match(body) is not None


def _member(asked: str, body: str) -> re.Match[str] | None:
    found = pattern(asked).search(body)
    return found if found is not None and _is_outermost(body[: found.start()]) else None


def _is_outermost(before: str) -> bool:
    """Whether a member that comes after this is one of the result itself, and not of one thing among many."""
    bare = re.sub(_STRINGS, "", before)
    return bare.count("{") - bare.count("}") <= 1 and bare.count("[") == bare.count("]")


_LINES: Final = 12
_LINE_CHARS: Final = 200
_TITLE: Final = r"(?i)<title[^>]{0,40}>\s{0,20}([^<]{1,120})"
_PAGE_LINE: Final = (
    r"(?i)[\s\"'#*:=>-]{0,6}(?:(?:page )?(?:title|"
    r"heading)[\s\"'*:=-]{1,4})?(?:error[\s:-]{0,3})?(?:http[\s:-]{0,3})?(?:(?:401|403|404|407|408|410|429|451|500|"
    r"502|503|504)\b"
    r"(?:[\s:.,|\u2013\u2014-]{1,6}(?:error|not found|page not found|forbidden|unauthorized|access denied|"
    r"too many requests|internal server error|bad gateway|"
    r"service (?:temporarily )?unavailable|gateway time-?out|gone|that.s an error|client error|server error))|"
    r"page not found|file not found|"
    r"access denied|access to this page has been denied|forbidden|just a moment\.{3}|attention required!|"
    r"are you a robot\??|robot check|"
    r"security check(?:point)?|pardon our interruption|service unavailable|bad gateway|internal server error|"
    r"this site can.t be reached|(?:this |the )?page (?:can.t|cannot|could not) be (?:found|displayed|loaded)|"
    r"unauthorized|too many requests|"
    r"sign in to continue|log ?in required|problem loading page|server not found|"
    r"your connection is not private)(?:\s?[|:\u2013\u2014.!(\"'*-][^\n]{0,60})?|#{1,3} (?:error )?(?:40[134]|429|"
    r"50[0234])"
)
_BOT_CHECKS: Final = (
    *("verify you are human", "verify that you are human", "verify you're human", "verify you are a human", "not a robot"),
    *("checking your browser before", "checking if the site connection is secure", "javascript and cookies to continue"),
    *("unusual traffic from your", "complete the captcha", "solve the captcha", "complete a captcha", "press & hold to confirm"),
    *("confirm you are human", "pardon our interruption", "you have been blocked", "access to this page has been denied"),
    "complete the security check",
)
_LOGINS: Final = (
    "you must be logged in",
    "you need to log in",
    "sign in to continue",
    "log in to continue",
    "please log in to",
    "login required",
)


def bot_check(body: str, *, short: bool) -> bool:
    """Whether a page asks who is there, or to log in, instead of showing what was asked for."""
    lowered = body.lower()
    return any(phrase in lowered for phrase in _BOT_CHECKS) or (short and any(phrase in lowered for phrase in _LOGINS))


def error_heading(body: str) -> str | None:
    """The title or the one heading of a page that says that it is an error. Several are of a page about errors."""
    title = pattern(_TITLE).search(body) if "<" in body else None
    lines = [title[1]] if title is not None else body.split("\n", _LINES)[:_LINES]
    heading = pattern(_PAGE_LINE)
    found = [line for line in lines if len(line) <= _LINE_CHARS and heading.fullmatch(line.strip()) is not None]
    return found[0] if len(found) == 1 else None
