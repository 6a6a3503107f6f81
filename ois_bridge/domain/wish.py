"""What was typed into the one search box: pieces of names or numbers, a sex, a birth date."""

import re
from dataclasses import dataclass

from ois_bridge.domain import search_parts

SEX_WORDS = {"男": "M", "male": "M", "女": "F", "female": "F"}
_DATE = re.compile(r"((?:19|20)\d{2})[-./]?(0[1-9]|1[0-2])[-./]?(0[1-9]|[12]\d|3[01])")
WORDS = 6


@dataclass(frozen=True)
class Wish:
    """`pieces`: folded beginnings of names or numbers, the first of which leads the search. `sex`, and
    `birth_date` as YYYYMMDD, are empty where none was typed.
    """

    pieces: tuple[str, ...] = ()
    sex: str = ""
    birth_date: str = ""


def understand(text: str) -> Wish:
    """The wish in a text of at most WORDS words; further words are not read.

    A date with separators is a birth date; eight digits alone may also begin a number, and are one.
    """
    pieces: list[str] = []
    sex = birth_date = ""
    shown = "".join(character if character.isprintable() else " " for character in text)
    words = shown.replace("，", " ").replace(",", " ").split()[:WORDS]
    for word in words:
        day = _DATE.fullmatch(word)
        if word.casefold() in SEX_WORDS:
            sex = SEX_WORDS[word.casefold()]
        elif day and (len(word) > 8 or len(words) > 1):
            birth_date = "".join(day.groups())
        elif search_parts.fold(word):
            pieces.append(search_parts.fold(word))
    if len(pieces) > 1 and all(piece.isascii() and piece.isalpha() for piece in pieces):
        pieces = ["".join(pieces)]  # zhang wei: the words of one name
    return Wish(tuple(sorted(pieces, key=len, reverse=True)), sex, birth_date)
