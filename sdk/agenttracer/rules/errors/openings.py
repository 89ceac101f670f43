"""How a text begins or ends that tells of an error: the marks of shells, compilers, languages, protocols, and of plain words.

Every pattern takes time that grows with the text alone: what repeats is bounded, or cannot match in two ways.
"""

from typing import Final

from agenttracer.rules.errors.text import pattern

_EXIT: Final = (
    r"(?i)\W{0,3}(?:the )?(?:process|command|program|script|execution|shell)?\s?(?:\w+ed )?(?:with )?(?:an? )?(?:non-?zero )?"
    r"(?:exit[ _-]?(?:code|status)|return[ _-]?code|exitcode|rc)\W{1,4}(-?[0-9]{1,5})\b[^\n]{0,60}\n?"
)
_EXIT_AT_END: Final = (
    r"(?i)(?:exit(?:ed)?(?: with)?[ _-]?(?:code|status)|return[ _-]?code|exitcode)\W{1,4}([1-9][0-9]{0,4})\W{0,12}\Z"
)
_WRAPPING: Final = (
    r"(?i)(?:\s|```\w{0,12}\n|(?:code |tool |command |script |execution |final )?(?:output|result|response|"
    r"observation|stdout|stderr|"
    r"logs?|answer)s?\s?:|script started\n|\[?\{\s?[\"']type[\"']\s?:\s?[\"']text[\"']\s?,\s?[\"']text[\"']\s?:\s?[\"']|"
    r"<(?:output|result|stdout|stderr|tool_result|response)>|[❌⚠✗✖🚫️!*>]|\[stderr\])"
)
_WRAPPINGS_MAX: Final = 8


def exit_status(body: str) -> tuple[int, str] | None:
    """The exit status that a text opens with, and what comes after."""
    found = pattern(_EXIT).match(body)
    return None if found is None else (int(found[1]), body[found.end() :])


def stack_begins(body: str) -> int | None:
    """Where an error with a stack of JavaScript or Java begins."""
    if "  at " not in body and "\tat " not in body and "Require stack" not in body:
        return None
    found = pattern(_STACK).search(body)
    return None if found is None else found.start()


def unwrapped(text: str) -> str:
    """Without what stands before a tool's own words."""
    wrapping = pattern(_WRAPPING)
    for _ in range(_WRAPPINGS_MAX):
        text = text.lstrip()
        found = wrapping.match(text)
        if found is None or not found.end():
            return text
        text = text[found.end() :]
    return text.lstrip()


_CLEAR_OPENING: Final = (
    # A word for an error with the marks that follow one, so that a title such as "Error handling in Go" is none.
    r"(?:(?:the|an?|\[|\(|<|\*{1,2}) ?)?(?:[\w'\"-]{1,24} ){0,2}(?:error|err|exception|failure)\b(?: ?(?:code|no|"
    r"number|status|type|message))?"
    r"(?: ?[:\]\[(!]| ?[-\u2013\u2014] |  ?[#-]?\d{2,6}\b| [#-]?\d{2,6}\b| ?\Z|\n| (?:in |while |when |during |"
    r"executing|calling|running|invoking|occurred|fetching|"
    r"reading|parsing|opening|loading|accessing|processing|performing|getting|creating|writing|sending|connecting|"
    r"retrieving|searching|"
    r"making|has occurred|was encountered|from server|response from|invoking))|"
    r"traceback \(most recent call last\)|"
    r"(?:fatal|panic|failed|failure|fail|critical)\b ?(?::|\(|\n|exception|error)|"
    r"(?:uncaught|unhandled) (?:\(in promise\) )?[\w.:]{0,60}(?:error|exception|rejection)|"
    r"file \"[^\n]{1,200}\", line \d|"
    r"[\w./-]{1,80}(?::\d{1,6}(?::\d{1,5})?: (?:fatal )?error\b|\(\d{1,6},\d{1,5}\): error\b|\.(?:go|rs|c|cc|cpp|h|"
    r"java|ts|swift|kt):\d{1,6}:\d{1,5}: )|"
    r"(?:npm err!|e: |exception in thread|goroutine \d|segmentation fault|core dumped)|"
    r"(?:there (?:was|is|has been) an? (?:error|problem|issue)|something went wrong|i (?:have )?encountered an error|"
    r"encountered an error)|"
    r"(?:an? |the )?(?:[\w-]{1,24} ){0,2}(?:error|exception) (?:has )?(?:occurred|was (?:raised|thrown|encountered))|"
    r"(?:the )?(?:tool|function|command|request|operation|execution|call|query|api call|tool call|tool execution|code execution|"
    r"navigation|download|upload|search|script|build|test run|task|action|job)(?: [\w'\"`.-]{1,40}){0,2} (?:failed|"
    r"timed out|errored|was refused|was denied)\b|"
    r"(?:https?(?:/[\d.]{1,3})? ?(?:error|status|response)?(?: code)?[ :=]{1,3}|status(?:[ _]?code)? ?[:=]? ?)[45]\d\d\b|"
    r"[45]\d\d[ :,-]{1,3}(?:client error|server error|error|not found|forbidden|unauthori[sz]ed|too many requests|"
    r"bad request|internal|"
    r"service unavailable|bad gateway|gateway|conflict|gone|payment required|method not allowed|unprocessable|request timeout)|"
    r"(?:ora-\d{5}|msg \d{1,5}, level|sqlstate|psql: |mysql error|error \d{4} \()|"
    r"<(?:\?xml[^>]{0,60}>\s?<)?(?:\w{1,12}:)?(?:\w{1,20}_)?(?:error|fault|exception)\b|"
    r"(?:the term |the filename, directory name|')[^\n]{1,80} is not recognized as|"
    r"(?:\[|\()(?:error|fatal|critical|exception|failed)(?:\]|\))"
)
_SHELL_OPENING: Final = (
    r"[\w./+@-]{1,40}: (?:[^\n:]{1,120}: ){0,3}(?:\(\d{1,3}\) )?(?:command not found|executable file not found|"
    r"net::err_|connect to host |"
    r"temporary failure|no route to host|invalid (?:date|argument|value|number|input|syntax|expression|choice|user)|"
    r"no such file|permission denied|not found\s*\Z|cannot |"
    r"could not |can't |unable to |invalid option|unrecognized option|unknown option|illegal option|syntax error|is a directory|"
    r"not a directory|connection refused|connection timed out|operation not permitted|operation timed out|error: |"
    r"fatal: |failed to |"
    r"missing operand|name or service not known|no space left)"
)
_CLASS_OPENING: Final = (
    r"(?:[A-Za-z_][\w.$]{0,80})?(?:Error|Exception|(?<=\w)(?:Failure|Fault|Timeout|Interrupt|NotFound|Denied|Refused|"
    r"Exceeded))\b\s?"
    r"(?:[:(\[]|\n|\Z)"
)
_PROSE_OPENING: Final = (
    r"(?:sorry,? |oops[,!.]? |the )?(?:failed to|could not|couldn't|cannot|can't|can not|unable to|access denied|"
    r"permission denied|"
    r"unauthori[sz]ed|forbidden|not authori[sz]ed|authentication (?:failed|required)|(?:request |"
    r"operation )?time[d-]? ?out(?: (?:after|error|exceeded|while|waiting)|[:.!(]|\Z)|request failed|"
    r"connection (?:refused|reset|error|failed|timed out|aborted|closed|lost)|(?:api )?rate limit|too many requests|bad request|"
    r"internal server error|service (?:is )?(?:temporarily )?unavailable|bad gateway|gateway time|not found|no such|"
    r"command not found|"
    r"unknown (?:tool|command|function|option|argument|parameter|method|action|language|key|field|host|error)|"
    r"invalid |unsupported |"
    r"unexpected |missing (?:required|argument|parameter|field|api)|killed\b|aborted\b|permission to |you do(?:n't| not) have|"
    r"you are not (?:allowed|authori[sz]ed)|you must (?:be logged|log in|sign in)|please (?:log|sign) in|insufficient |"
    r"maximum (?:number|retries|recursion)|max retries|quota exceeded|payload too large|operation not permitted|no module named|"
    r"resource not found|method not allowed|net::err_|i(?:'m| am) (?:sorry, but|unable)|api key)"
)
_PROSE_ENDING: Final = (
    r"[^\n]{1,120}\b(?:not found|does not exist|doesn't exist|is not a valid tool[^\n]{0,200}|access denied|"
    r"permission denied|timed out|"
    r"is required|failed|is invalid|not supported|is unavailable|not available|is not allowed|is not permitted|not authori[sz]ed|"
    r"command not found|no such file or directory|connection refused|no route to host|reset by peer|"
    r"deadline exceeded[^\n]{0,80}|exceeded)[.!)]{0,2}\s{0,4}\Z"
)
_NO_ERROR: Final = (
    r"(?:no |0 |zero |without )?(?:errors?|failures?|exceptions?)\s?[:=(]?\s?(?:none|null|nil|false|no\b|n/a|0\b|"
    r"[0-9]*\.[0-9]|\"\"|''|\[\]|\{\})"
)


def opens_as_error(body: str, *, short: bool) -> bool:
    """Whether a text opens as an error does. A short one may do so in plain words."""
    first = body[:400].lower()
    if not first or pattern(_NO_ERROR).match(first) is not None:
        return False
    if first[0] == "{":  # none of the openings begins so
        return short and pattern(_PROSE_ENDING).match(first) is not None
    if any(pattern(each).match(first) is not None for each in (_CLEAR_OPENING, _SHELL_OPENING)):
        return True
    if pattern(_CLASS_OPENING).match(body, 0, 400) is not None:
        return True
    return short and any(pattern(each).match(first) is not None for each in (_PROSE_OPENING, _PROSE_ENDING))


_STACK: Final = (
    r"(?m)^(?:Uncaught |Caused by: )?[A-Za-z_$][\w.$]{0,80}(?:Error|"
    r"Exception)?: [^\n]{0,300}\n(?:[^\n]{0,200}\n){0,4}?\s{1,8}at \S|^[\w.$]{0,60}Error: [^\n]{0,300}\nRequire stack"
)
_LAST_LINE: Final = r"(?:[A-Za-z_][\w.$]{0,80})?(?:Error|Exception|Interrupt|Exit)\b(?::|\s*\Z)"


def ends_as_error(tail: str, *, traced: bool) -> bool:
    """A traceback whose last line names what was raised, or a failed exit, at a text's end."""
    if pattern(_EXIT_AT_END).search(tail[-80:]) is not None:
        return True
    if not traced:
        return False
    return pattern(_LAST_LINE).match(tail.rstrip().rpartition("\n")[2]) is not None
