"""How text is cut for SQLite's full-text index, and how a search becomes a query of it.

FTS5's tokenisers know no Chinese words, and its trigrams find nothing shorter than three characters. Here
each Chinese, Japanese or Korean character is a token of its own; a search for several is a search for them
side by side, so that any two are found wherever they stand.
"""

import re

IDEOGRAPHS = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_ONE = re.compile(f"([{IDEOGRAPHS}])")
_TOKEN = re.compile(f"[{IDEOGRAPHS}]|[^\\W{IDEOGRAPHS}]+", re.UNICODE)


def cut(text: str) -> str:
    """The text with a space around each ideograph, for the index."""
    return _ONE.sub(r" \1 ", text)


def query(text: str) -> str:
    """The FTS5 query for all words of a search; "" when there is nothing to look for.

    What stands in quotation marks, and a run of ideographs, is looked for side by side; the last token of
    a word in other scripts may go on ("dip" finds "dipole").
    """
    parts: list[str] = []
    for place, piece in enumerate(text.split('"')):
        for word in [piece] if place % 2 else piece.split():
            if tokens := _TOKEN.findall(word.replace("_", " ")):
                quoted = " ".join(tokens)
                goes_on = not place % 2 and not _ONE.fullmatch(tokens[-1])
                parts.append(f'"{quoted}"{"*" if goes_on else ""}')
    return " AND ".join(parts)
