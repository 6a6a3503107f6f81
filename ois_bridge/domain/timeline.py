"""Where the bars of a time line lie: beams of one fraction over the time it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH = 1000.0
"""Length of the drawn axis, in drawing units."""

THINNEST = 3.0
"""A bar is drawn at least this wide, so that the shortest beam is seen."""


@dataclass(frozen=True)
class Span:
    """One beam of one part. `row`: line of the drawing, by beam."""

    start: datetime
    end: datetime
    row: int
    text: str
    normal: bool


@dataclass(frozen=True)
class Bar:
    """A span in drawing units."""

    x: float
    width: float
    row: int
    text: str
    normal: bool


@dataclass(frozen=True)
class Line:
    """A whole time line. `seconds` is its length in wall time."""

    bars: tuple[Bar, ...]
    rows: int
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return (self.end - self.start).total_seconds()


def draw(spans: Sequence[Span]) -> Line | None:
    """The bars of a time line; None without spans."""
    if not spans:
        return None
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    scale = WIDTH / max((end - start).total_seconds(), 1e-3)
    bars = []
    for span in spans:
        width = max((span.end - span.start).total_seconds() * scale, THINNEST)
        x = min((span.start - start).total_seconds() * scale, WIDTH - width)
        bars.append(Bar(round(x, 1), round(width, 1), span.row, span.text, span.normal))
    return Line(tuple(bars), max(span.row for span in spans) + 1, start, end)
