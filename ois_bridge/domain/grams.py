"""Text as tokens that any full-text index keeps apart: words, and overlapping pairs of Chinese characters.

A pair is found wherever it stands, so that a search for two characters needs no dictionary of words.
Tokens are plain letters and digits (w + word, h + code points), so that no database splits or drops them.
"""

import re
from collections.abc import Iterator

from ois_bridge.domain.chinese import HAN

_RUNS = re.compile(rf"(?:{HAN.pattern})+|(?:(?!{HAN.pattern})\w)+")
LONGEST_WORD = 40


def of_text(text: str) -> str:
    """All tokens of a text, in order, separated by blanks."""
    return " ".join(token for run in _runs(text) for token in _tokens(run, tail=True))


def of_query(words: str) -> list[list[str]]:
    """Phrases that must all occur; the last token of each may be the beginning of a longer one."""
    phrases = []
    for word in words.split()[:8]:
        tokens = [token for run in _runs(word) for token in _tokens(run, tail=False)]
        phrases += [tokens] if tokens else []
    return phrases


def _runs(text: str) -> Iterator[str]:
    for match in _RUNS.finditer(text.casefold()):
        yield match.group()


def _tokens(run: str, tail: bool) -> Iterator[str]:
    """Pairs of a Chinese run, and for a text its last character; other runs are one word."""
    if not HAN.match(run):
        word = run[:LONGEST_WORD]
        yield f"w{word}" if word.isascii() and word.isalnum() else _encoded("u", word)
        return
    for place in range(len(run) - 1):
        yield _encoded("h", run[place : place + 2])
    if tail or len(run) == 1:
        yield _encoded("h", run[-1])


def _encoded(mark: str, text: str) -> str:
    return mark + "".join(f"{ord(character):06x}" for character in text)
