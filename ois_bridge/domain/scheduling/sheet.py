"""What is shown where on the appointment sheet: columns of devices, rows of slots, cells that span rows.

Minutes are counted on the wall clock from midnight of the column's day; a column may go on past 1440.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Block:
    """A stretch of a column: `text` says why it is not free."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True)
class Card:
    """Something booked, from a minute on for some minutes; `index` names it for whoever draws it."""

    start: int
    minutes: int
    index: int

    @property
    def end(self) -> int:
        """The minute after its last."""
        return self.start + self.minutes


@dataclass(frozen=True)
class Column:
    """One device on one day. `open`: when it takes visits; `blocked`: when not, although it is open."""

    open: Sequence[Block] = ()
    blocked: Sequence[Block] = ()
    cards: Sequence[Card] = ()


@dataclass(frozen=True)
class Cell:
    """A cell of the table. `kind`: free, closed, blocked, cards. `rows`: slots it spans."""

    column: int
    kind: str
    rows: int
    text: str = ""
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True)
class Row:
    """One slot. `label`: rows that its time stands for (0: the label above goes on)."""

    minute: int
    label: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """The whole sheet from `first` to `last` minute in slots."""

    first: int
    last: int
    slot: int
    rows: tuple[Row, ...] = field(default_factory=tuple)


LABEL_MIN = 30
USUAL = (8 * 60, 18 * 60)


def table(columns: Sequence[Column], slot: int) -> Table:
    """The cells of a sheet. Each column's rows are covered once, without gap."""
    first, last = _range(columns)
    count = (last - first) // slot
    starts = [_column(number, column, first, count, slot) for number, column in enumerate(columns)]
    per_label = LABEL_MIN // slot
    rows = tuple(
        Row(
            first + index * slot,
            min(per_label, count - index) if index % per_label == 0 else 0,
            tuple(cells[index] for cells in starts if index in cells),
        )
        for index in range(count)
    )
    return Table(first, last, slot, rows)


def _range(columns: Sequence[Column]) -> tuple[int, int]:
    """From the first opening or visit to the last, in whole labels."""
    parts = [(part.start, part.end) for column in columns for part in column.open]
    parts += [(card.start, card.end) for column in columns for card in column.cards]
    first = min((start for start, _end in parts), default=USUAL[0])
    last = max((end for _start, end in parts), default=USUAL[1])
    return first // LABEL_MIN * LABEL_MIN, -(-last // LABEL_MIN) * LABEL_MIN


def _column(number: int, column: Column, first: int, count: int, slot: int) -> dict[int, Cell]:
    """Cells of a column by the index of their first slot."""
    cells: dict[int, Cell] = {}
    taken: set[int] = set()
    for group in groups(column.cards):
        start = (group[0].start - first) // slot
        end = min(-(-(max(card.end for card in group) - first) // slot), count)
        start = max(start, max(taken, default=-1) + 1)
        end = max(end, start + 1)
        cells[start] = Cell(number, "cards", end - start, cards=group)
        taken |= set(range(start, end))
    kinds = [_kind(column, first + index * slot, slot) for index in range(count)]
    edges = [0, *(index for index in range(1, count) if _edge(index, kinds, taken)), count]
    for start, end in pairwise(edges):
        if start not in taken and start < end:
            kind, text = kinds[start]
            cells[start] = Cell(number, kind, end - start, text)
    return cells


def groups(cards: Sequence[Card]) -> list[tuple[Card, ...]]:
    """Cards in order; those that overlap in time stand together in one cell, side by side."""
    result: list[list[Card]] = []
    for card in sorted(cards, key=lambda one: (one.start, one.index)):
        if result and card.start < max(one.end for one in result[-1]):
            result[-1].append(card)
        else:
            result.append([card])
    return [tuple(group) for group in result]


def _kind(column: Column, minute: int, slot: int) -> tuple[str, str]:
    for block in column.blocked:
        if block.start < minute + slot and minute < block.end:
            return "blocked", block.text
    inside = any(block.start <= minute and minute + slot <= block.end for block in column.open)
    return ("free", "") if inside else ("closed", "")


def _edge(index: int, kinds: Sequence[tuple[str, str]], taken: set[int]) -> bool:
    """Whether a cell begins here: free slots stand alone, others run on while they say the same."""
    return (
        kinds[index][0] == "free"
        or kinds[index] != kinds[index - 1]
        or (index in taken) != (index - 1 in taken)
    )
