"""Why an irradiation was interrupted, in the reader's words: records keep the machine's own."""

import re
from collections.abc import Mapping

from common.text import _, language, translate
from ois_bridge.domain.words import N_

Titles = Mapping[str, Mapping[str, str]]
"""Input of the interlock -> language -> what it means when it is bad."""

BY_SOMEBODY = (
    (re.compile(r"interrupted by (?P<user>\S+)"), N_("interrupted by {user}")),
    (re.compile(r"terminated by (?P<user>\S+)"), N_("terminated by {user}")),
)
_SEVERAL = re.compile(r"(; |, )")


def readable(cause: str, titles: Titles, code: str = "") -> str:
    """A cause as a record holds it, or several with `; ` or `, ` between them.

    `code`: language, "" for the one in force. What is not known stays as it is: nothing is lost.
    """
    known = _one(cause, titles, code)
    if known != cause:
        return known
    return "".join(_one(part, titles, code) for part in _SEVERAL.split(cause))


def _one(cause: str, titles: Titles, code: str) -> str:
    if cause in titles:
        return titles[cause].get(code or language(), cause)
    for pattern, message in BY_SOMEBODY:
        if found := pattern.fullmatch(cause):
            return (translate(message, code) if code else _(message)).format(**found.groupdict())
    return (translate(cause, code) if code else _(cause)) if cause.strip() else cause
