"""Where the words of a search stand in a text, for showing them marked."""

import re
from collections.abc import Sequence

AROUND = 40


def words_of(wanted: str) -> list[str]:
    """The words of a search, the longest first."""
    return sorted(set(wanted.split()[:8]), key=len, reverse=True)


def pieces(text: str, words: Sequence[str]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is one of the words (any case)."""
    if not words:
        return [(text, False)]
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    found: list[tuple[str, bool]] = []
    end = 0
    for match in pattern.finditer(text):
        if match.start() > end:
            found.append((text[end : match.start()], False))
        found.append((match.group(), True))
        end = match.end()
    return [*found, (text[end:], False)] if end < len(text) else found


def snippet(text: str, words: Sequence[str]) -> list[tuple[str, bool]]:
    """The surroundings of the first hit, in pieces."""
    text = " ".join(text.split())
    first = min((place for word in words if (place := text.casefold().find(word.casefold())) >= 0), default=0)
    start, end = max(0, first - AROUND), first + 2 * AROUND
    cut = pieces(text[start:end], words)
    return [*([("…", False)] if start else []), *cut, *([("…", False)] if end < len(text) else [])]
