"""The sheet on A4: the cards of the screen at their places, in millimetres."""

from dataclasses import dataclass
from datetime import datetime

from common.links.pdf import render
from common.text import language
from ois_bridge.domain.scheduling import sheet as layout
from ois_bridge.services.appointments.cards import Shown
from ois_bridge.services.appointments.sheet import Choice, View
from ois_bridge.web.appointments import means
from ois_bridge.web.render import ENVIRONMENT

UPRIGHT, LYING = (184.0, 243.0), (271.0, 158.0)
"""Width and height (mm) of the sheet itself on a page, below its heading and above its legend."""

CLOCK_MM = 11.0
FRAME_MM = 0.35
"""What the frame of a card takes of its height."""
UPRIGHT_COLUMNS = 4
TEXT_PT = {9: 6.8}
"""Up to so many columns -> size of the cards' texts; SMALLEST_PT with more."""
SMALLEST_PT = 5.0
LINE_MM = 0.4
"""Height of a line, for each point of the text's size: whole lines are shown, none is cut through."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the page, in mm from the corner of the sheet."""

    left: float
    top: float
    width: float
    height: float
    kind: str
    text: str = ""
    card: Shown | None = None
    lines: int = 0


def pdf(view: View, choice: Choice, now: datetime, by: str) -> bytes:
    """The sheet as PDF, in the language of the request."""
    return render(page(view, choice, now, by))


def page(view: View, choice: Choice, now: datetime, by: str) -> str:
    """The sheet as HTML for the page renderer, which reads positions from styles in the elements."""
    lying = len(view.heads) > UPRIGHT_COLUMNS
    width, height = LYING if lying else UPRIGHT
    text_pt = _text_pt(view)
    return ENVIRONMENT.get_template("appointments/paper.html").render(
        lang="zh-CN" if language() == "zh" else "en",
        view=view,
        choice=choice,
        lying=lying,
        width=width,
        height=height,
        clock_mm=CLOCK_MM,
        text_pt=text_pt,
        line_mm=text_pt * LINE_MM,
        column_mm=(width - CLOCK_MM) / max(len(view.heads), 1),
        boxes=boxes(view, width, height),
        hours=_hours(view, height),
        now=now,
        by=by,
        **means.words(),
    )


def boxes(view: View, width: float, height: float) -> list[Box]:
    """Everything that is drawn in the columns. Cards that overlap stand side by side, as on the screen."""
    column = (width - CLOCK_MM) / max(len(view.heads), 1)
    scale = height / max(view.table.last - view.table.first, 1)
    found = []
    for row in view.table.rows:
        for cell in row.cells:
            left, top = CLOCK_MM + cell.column * column, (row.minute - view.table.first) * scale
            if cell.kind in ("closed", "blocked"):
                tall = cell.rows * view.table.slot * scale
                found.append(Box(left, top, column, tall, cell.kind, cell.text))
            for number, card in enumerate(cell.cards):
                wide = column / len(cell.cards)
                found.append(_card(view, card, left + number * wide, wide, scale))
    return found


def _card(view: View, card: layout.Card, left: float, width: float, scale: float) -> Box:
    top = (card.start - view.table.first) * scale
    height = card.minutes * scale
    lines = max(1, int((height - FRAME_MM) / (_text_pt(view) * LINE_MM)))
    return Box(left, top, width, height, "card", card=view.cards[card.index], lines=lines)


def _text_pt(view: View) -> float:
    return next((size for most, size in TEXT_PT.items() if len(view.heads) <= most), SMALLEST_PT)


def _hours(view: View, height: float) -> list[tuple[float, str]]:
    scale = height / max(view.table.last - view.table.first, 1)
    first = -(-view.table.first // 60) * 60
    return [
        ((minute - view.table.first) * scale, means.clock(minute))
        for minute in range(first, view.table.last, 60)
    ]
