"""One gettext catalogue for panels, web pages, command line and reports.

Message ids are the English texts. Each room keeps its translations in `common/locale/zh/ROOM.po`;
all of them are merged into one catalogue. The language is a context variable, so that two
web requests in two threads can speak two languages.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po

PLAIN = (str, int, float)
PLACE = re.compile(r"\{(\w+)\}")
LANGUAGES = ("en", "zh")
LOCALE = Path(__file__).parent / "locale"

_language: ContextVar[str | None] = ContextVar("language", default=None)


@cache
def catalogue(language: str) -> dict[str, str]:
    """All translations of a language: message id -> text. Empty for English."""
    merged: dict[str, str] = {}
    for path in sorted((LOCALE / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                if message.id and message.string:
                    merged[str(message.id)] = str(message.string)
    return merged


def language() -> str:
    """The language in force: what `set_language` chose, else PTCS_LANG, else LANG, else English."""
    chosen = _language.get()
    if chosen is not None:
        return chosen
    wish = os.environ.get("PTCS_LANG") or os.environ.get("LANG", "")
    return "zh" if wish.lower().startswith("zh") else "en"


def set_language(code: str) -> None:
    """Choose the language of this context. Raises ValueError for one that PTCS does not speak."""
    if code not in LANGUAGES:
        raise ValueError(f"language {code!r}: allowed are {', '.join(LANGUAGES)}")
    _language.set(code)


def translate(message: str, code: str) -> str:
    """`message` in a language; the message itself where there is no translation."""
    return catalogue(code).get(message, message)


def _(message: str) -> str:
    """`message` in the language in force."""
    return translate(message, language())


Saying = Sequence[Any]
"""A text that is kept and read later, in each reader's language: [message, {name: value}] as JSON keeps it.

A value may be a saying too.
"""


def saying(message: str, **values: Any) -> Saying:
    """A text to keep, of a message with places and what stands there: numbers, texts, or sayings."""
    return [message, values]


def said(told: Saying, code: str | None = None) -> str:
    """A kept text in a language; None: the one in force. Raises ValueError for what is none."""
    try:
        message, values = told
        shown = {
            key: str(value) if isinstance(value, PLAIN) else said(value, code)
            for key, value in values.items()
        }
        return PLACE.sub(lambda place: shown[place[1]], translate(message, code or language()))
    except (TypeError, AttributeError, KeyError) as why:
        raise ValueError(f"no text that can be told: {why}") from why


def translated(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept with `sayings` (key -> saying), each of them in the language in force."""
    return {**kept, **{key: said(told) for key, told in kept.get("sayings", {}).items()}}
