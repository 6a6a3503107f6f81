"""State diagrams of search, latch, mask and beam-off as one HTML page with SVG, drawn from the tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from interlock import beam_off, search
from interlock.table import Latch, Matrix, Text
from interlock.words import STYLE, two

Transitions = Mapping[str, Mapping[str, str]]
"""State -> event -> next state."""

MASK: Transitions = {
    "UNMASKED": {"mask (key, right, reason, end)": "MASKED"},
    "MASKED": {"unmask": "UNMASKED", "expired": "UNMASKED", "void (no service key)": "UNMASKED"},
}
"""Life of a mask, as in `masks.py`."""

_WIDTH, _RADIUS, _BOX = 760, 150, (132, 40)
_RING = 3


def latch(matrix: Matrix) -> Transitions:
    """What the latch of this table's rows goes through."""
    kinds = {row.latch for row in matrix.inputs}
    bad = {}
    if Latch.ALWAYS in kinds:
        bad["bad (always)"] = "LATCHED"
    if Latch.ARMED in kinds:
        bad["bad while armed"] = "LATCHED"
        bad["bad, not armed"] = "BAD"
    if matrix.pairs:
        bad["channels differ too long"] = "LATCHED"
    after = {"good": "GOOD", "request comes": "LATCHED"} if Latch.ARMED in kinds else {"good": "GOOD"}
    return {"GOOD": bad, "BAD": after, "LATCHED": {"reset (cause gone, right)": "GOOD"}}


def page(matrix: Matrix) -> str:
    """A complete HTML document."""
    plain = {str(s): {str(e): str(a) for e, a in row.items()} for s, row in search.TABLE.items()}
    off = {str(s): {str(e): str(a) for e, a in row.items()} for s, row in beam_off.TABLE.items()}
    parts = [
        (Text("Room search", "清场巡检"), plain),
        (Text("Latch of an input", "输入锁存"), latch(matrix)),
        (Text("Mask", "屏蔽"), MASK),
        (Text("Switching beam off", "断束"), off),
    ]
    title = f"{matrix.title.en} · {matrix.title.zh}"
    body = "\n".join(f"<h2>{two(name)}</h2>\n{svg(table)}\n{rows(table)}" for name, table in parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>\n{body}\n</body></html>"
    )


def rows(table: Transitions) -> str:
    """The table itself, under its picture."""
    lines = [
        f"<tr><td>{escape(state)}</td><td>{escape(event)}</td><td>{escape(after)}</td></tr>"
        for state, events in table.items()
        for event, after in events.items()
    ]
    head = "".join(f"<th>{two(t)}</th>" for t in _HEADS)
    return f"<table><thead><tr>{head}</tr></thead>{''.join(lines)}</table>"


_HEADS = (Text("State", "状态"), Text("Event", "事件"), Text("Next", "下一状态"))


@dataclass(frozen=True)
class _Point:
    x: float
    y: float


def svg(table: Transitions) -> str:
    """States on an ellipse, one arrow for all events between two states."""
    names = list(table)
    centre = _Point(_WIDTH / 2, _RADIUS + 60)
    turn = math.pi if len(names) < _RING else -math.pi / 2  # two states lie side by side
    place = {name: _at(centre, 2 * math.pi * k / len(names) + turn) for k, name in enumerate(names)}
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, events in table.items():
        for event, after in events.items():
            arrows.setdefault((state, after), []).append(event)
    drawn = [_arrow(place, start, end, events) for (start, end), events in arrows.items()]
    boxes = [_box(place[name], name) for name in names]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {2 * _RADIUS + 160}" role="img" width="{_WIDTH}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#40566e"/></marker></defs>'
        f"{''.join(drawn)}{''.join(boxes)}</svg>"
    )


def _at(centre: _Point, angle: float) -> _Point:
    return _Point(centre.x + 1.55 * _RADIUS * math.cos(angle), centre.y + _RADIUS * math.sin(angle))


def _box(at: _Point, name: str) -> str:
    wide, high = _BOX
    return (
        f'<rect x="{at.x - wide / 2:.0f}" y="{at.y - high / 2:.0f}" width="{wide}" height="{high}" rx="8" '
        f'fill="#eef3f9" stroke="#40566e"/><text x="{at.x:.0f}" y="{at.y + 5:.0f}" text-anchor="middle" '
        f'font-size="14" font-weight="600">{escape(name)}</text>'
    )


def _arrow(place: Mapping[str, _Point], start: str, end: str, events: list[str]) -> str:
    one, other = place[start], place[end]
    if start == end:
        top = one.y + _BOX[1] / 2
        path = f"M{one.x - 24:.0f} {top:.0f}c-16 46 64 46 48 0"
        return _path(path) + _label(_Point(one.x, top + 48), events)
    middle = _Point((one.x + other.x) / 2, (one.y + other.y) / 2)
    length = math.hypot(other.x - one.x, other.y - one.y)
    # Bent to its left, so that the arrow back lies on the other side.
    bend = _Point(
        middle.x + 70 * (other.y - one.y) / length,
        middle.y - 70 * (other.x - one.x) / length,
    )
    begin, finish = _edge(one, bend), _edge(other, bend)
    path = f"M{begin.x:.0f} {begin.y:.0f}Q{bend.x:.0f} {bend.y:.0f} {finish.x:.0f} {finish.y:.0f}"
    return _path(path) + _label(_Point((middle.x + bend.x) / 2, (middle.y + bend.y) / 2), events)


def _edge(box: _Point, towards: _Point) -> _Point:
    """Where the line from a box's centre leaves it."""
    wide, high = _BOX[0] / 2 + 2, _BOX[1] / 2 + 2
    dx, dy = towards.x - box.x, towards.y - box.y
    scale = min(wide / abs(dx) if dx else math.inf, high / abs(dy) if dy else math.inf)
    return _Point(box.x + dx * scale, box.y + dy * scale)


def _path(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#40566e" stroke-width="1.4" marker-end="url(#tip)"/>'


def _label(at: _Point, events: list[str]) -> str:
    first = at.y - 7 * (len(events) - 1) + 4
    lines = "".join(
        f'<tspan x="{at.x:.0f}" y="{first + 14 * k:.0f}">{escape(event)}</tspan>'
        for k, event in enumerate(events)
    )
    return (
        f'<text text-anchor="middle" font-size="12" paint-order="stroke" stroke="#fff" stroke-width="4">'
        f"{lines}</text>"
    )
