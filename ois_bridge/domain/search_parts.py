"""The pieces under which a patient is found: suffixes of names, whole numbers, folded alike on both sides."""

import re
from collections.abc import Iterable

from ois_bridge.domain import chinese

LONGEST = 64
END = "~"
"""Marks the last characters of a number: no name or number begins with it."""
LAST = 4
_LAST = re.compile(r"[0-9x]{4}")
_NOISE = re.compile(r"[\s^=·•・‧∙⋅･.,'’-]+")


def fold(text: str) -> str:
    """What is compared: lower case, without blanks, hyphens and the marks of a person name."""
    return _NOISE.sub("", text.casefold())[:LONGEST]


def of_name(name: str) -> set[str]:
    """Pieces of a DICOM person name.

    All suffixes of its Chinese characters, of their pinyin from syllable to syllable (zhangweiming,
    weiming, ming) and of their initials (zwm, wm); the words of a Latin name, joined both ways.
    """
    pieces: set[str] = set()
    characters = chinese.chinese_of(name)
    if characters:
        pieces |= _suffixes([character for character in characters if fold(character)])
        sounds = chinese.syllables(characters)
        pieces |= _suffixes(sounds)
        pieces |= {piece for piece in _suffixes([sound[0] for sound in sounds]) if len(piece) > 1}
    for group in name.split("="):
        if not chinese.is_chinese(group):
            words = [word for word in group.replace("^", " ").split() if fold(word)]
            pieces |= _suffixes(words)
            if not characters:
                pieces.add(fold("".join([*words[1:], *words[:1]])))
    return {piece for piece in pieces if piece}


def of_patient(name: str, numbers: Iterable[str]) -> set[str]:
    """Pieces of a patient: of the name, and the numbers (patient ID, id card, barcode, ...) as a whole and by
    their last four characters, as people tell a phone or an id card.
    """
    folded = {fold(number) for number in numbers if fold(number)}
    return of_name(name) | folded | {f"{END}{number[-LAST:]}" for number in folded if is_end(number[-LAST:])}


def is_end(piece: str) -> bool:
    """Whether a piece may be the last four characters of a number."""
    return _LAST.fullmatch(piece) is not None


def leads(piece: str) -> tuple[str, ...]:
    """What the pieces of who is meant begin with; in the order of the pieces."""
    return (piece, END + piece) if is_end(piece) else (piece,)


def _suffixes(steps: Iterable[str]) -> set[str]:
    steps = list(steps)
    return {fold("".join(steps[place:])) for place in range(len(steps))}
