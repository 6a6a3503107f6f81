"""An entry of the logbook: what it may hold, and its versions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from common.errors import Refused
from common.text import Saying, _, said

LONGEST_TITLE = 200
LONGEST_TEXT = 20_000
LONGEST_WORD = 80
MOST_WORDS = 64
HAND = "hand"
"""Source of an entry that a person wrote; others name the service."""


@dataclass(frozen=True)
class Attachment:
    """A file that belongs to an entry. sha256 names it in the logbook's folder; size in bytes."""

    name: str
    sha256: str
    size: int
    type: str


@dataclass(frozen=True)
class Entry:
    """One version of an entry. time: ISO 8601, UTC. key: makes an automatic entry happen once.

    reason: why a later version was made. about: devices, or other names. sayings: title and text of an
    automatic entry as each reader gets them in their own language; `title` and `text` are the English.
    """

    number: int
    version: int
    time: str
    user: str
    source: str
    kind: str
    title: str
    text: str = ""
    tags: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = field(default=())
    key: str = ""
    reason: str = ""
    sayings: Mapping[str, Saying] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        body = asdict(self) | {"tags": list(self.tags), "about": list(self.about)}
        return body if self.sayings else {key: value for key, value in body.items() if key != "sayings"}


def from_json(body: Mapping[str, Any]) -> Entry:
    """The entry in a line of the log. Raises KeyError, TypeError for something else."""
    files = tuple(Attachment(**file) for file in body["attachments"])
    words = {"tags": tuple(body["tags"]), "about": tuple(body["about"]), "attachments": files}
    return Entry(**{key: words.get(key, value) for key, value in body.items()})


def sayings_of(wish: Mapping[str, Any]) -> dict[str, Saying]:
    """Which of title and text are kept as sayings."""
    return {key: wish[key] for key in ("title", "text") if isinstance(wish.get(key), list)}


def _plain(wish: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """A text as it is, or in English where it is a saying. Raises Refused for a saying that is none."""
    told = wish.get(key, default)
    if not isinstance(told, list):
        return told
    try:
        return said(told, "en")
    except ValueError as why:
        raise Refused(_("{key!r} cannot be told: {why}").format(key=key, why=why)) from why


def title_of(wish: Mapping[str, Any]) -> str:
    """The title of what is to be entered. Raises Refused."""
    title = _plain(wish, "title")
    if not isinstance(title, str) or not 0 < len(title.strip()) <= LONGEST_TITLE or "\n" in title:
        raise Refused(_("a title has 1 to {count} characters on one line").format(count=LONGEST_TITLE))
    return title.strip()


def text_of(wish: Mapping[str, Any]) -> str:
    """The text of what is to be entered. Raises Refused."""
    text = _plain(wish, "text", "")
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise Refused(_("a text has up to {count} characters").format(count=LONGEST_TEXT))
    return text


def words_of(wish: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Tags, or what it is about. Raises Refused."""
    found = wish.get(key) or []
    good = isinstance(found, list) and all(isinstance(w, str) and 0 < len(w) <= LONGEST_WORD for w in found)
    if not good or len(found) > MOST_WORDS:
        text = _("{key!r} must be a list of up to {count} words of up to {length} characters")
        raise Refused(text.format(key=key, count=MOST_WORDS, length=LONGEST_WORD))
    return tuple(dict.fromkeys(found))


def word_of(wish: Mapping[str, Any], key: str, default: str) -> str:
    """A short word such as a kind. Raises Refused."""
    word = wish.get(key) or default
    if not isinstance(word, str) or len(word) > LONGEST_WORD:
        raise Refused(
            _("{key!r} must be a word of up to {length} characters").format(key=key, length=LONGEST_WORD)
        )
    return word
