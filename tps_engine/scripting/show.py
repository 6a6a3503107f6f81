"""What a notebook shows of an answer: a picture, a table; and how far long work is."""

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from common.files import write_atomic

Report = Callable[[float, str], None]
"""Told the fraction done (0..1) and the name of the step."""


@dataclass(frozen=True)
class Picture:
    """A PNG. A notebook shows it; `save` writes it."""

    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: Path | str) -> Path:
        """Write the file whole or not at all. Raises OSError."""
        write_atomic(Path(path), self.png)
        return Path(path)


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under headings. A notebook shows it as a table, a terminal as lines."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]

    def __str__(self) -> str:
        lines = [self.headings, *(tuple(_text(cell) for cell in row) for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.headings))]
        return "\n".join(_aligned(line, widths) for line in lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(text)}</th>" for text in self.headings)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(cell: str | float) -> str:
    return cell if isinstance(cell, str) else f"{cell:.4g}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])


@contextmanager
def progress() -> Iterator[Report]:
    """A bar on stderr, or in the notebook, that the work inside reports to."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done, step: bar.update(task, completed=done, description=step)
