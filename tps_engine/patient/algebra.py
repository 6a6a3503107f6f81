"""Regions made of regions: a small language of Boolean algebra and margins.

    PTV minus expand(rectum, 3)
    (lung_left or lung_right) and not "GTV 1"
    expand(CTV, 5, 5, 4, 4, 8, 8) and contract(External, 5)

`not` binds before `and`, that before `or`, `xor` and `minus`, which go from left to right. A name that is not
a plain word stands in double quotes. Margins in mm: one, or six towards right, left, anterior, posterior,
inferior, superior.
"""

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.patient.grid import Grid
from tps_engine.patient.masks import Margin, even, with_margin

Mask = NDArray[np.bool_]

_TOKEN = re.compile(r'\s*(?:"([^"]+)"|([(),])|([^\s(),"]+))')
_WORDS = ("and", "or", "xor", "minus", "not")
_DEEPEST = 50
_JOIN: Mapping[str, Callable[[Mask, Mask], Mask]] = {
    "or": np.logical_or,
    "xor": np.logical_xor,
    "minus": lambda left, right: left & ~right,
}


def names_in(text: str) -> tuple[str, ...]:
    """The regions that an expression needs, each once. Raises BadInput for one that cannot be read."""
    found: dict[str, None] = {}

    def note(name: str) -> Mask:
        found[name] = None
        return np.zeros((1, 1, 1), dtype=bool)

    _Reader(text, note, Grid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1, 1, 1))).read()
    return tuple(found)


def evaluate(text: str, regions: Mapping[str, Mask], grid: Grid) -> Mask:
    """The mask (nz, ny, nx) of an expression over masks by name.

    Raises BadInput for an expression that cannot be read, saying where, and for a region that is not there.
    """

    def get(name: str) -> Mask:
        if name not in regions:
            raise BadInput(
                _("{text}: no region named {name}; there are {known}").format(
                    text=text, name=name, known=", ".join(sorted(regions)) or "-"
                )
            )
        return regions[name]

    return _Reader(text, get, grid).read()


def blend(kind: str, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """`and`, `or`, `minus` or `xor` of the fractions (0..1) of voxels in two regions.

    Exact where at most one of the two outlines passes through a voxel; where both do the larger possible
    overlap is taken. Raises BadInput for another word.
    """
    if kind == "and":
        return np.asarray(np.minimum(left, right))
    if kind == "or":
        return np.asarray(np.maximum(left, right))
    if kind == "minus":
        return np.asarray(np.maximum(left - right, np.float32(0.0)))
    if kind == "xor":
        return np.asarray(np.abs(left - right))
    raise BadInput(_("{word}: allowed are and, or, minus, xor").format(word=kind))


class _Reader:
    """Recursive descent over the words of one expression; evaluates while it reads."""

    def __init__(self, text: str, get: Callable[[str], Mask], grid: Grid) -> None:
        self._text, self._get, self._grid = text, get, grid
        self._words = list(self._split())
        self._at = 0
        self._depth = 0

    def _split(self) -> Iterator[tuple[str, bool]]:
        """Words, each with whether it was quoted."""
        place, text = 0, self._text.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._bad(_("a quote that does not end"))
            place = found.end()
            yield (found[1], True) if found[1] is not None else (found[2] or found[3], False)

    def _bad(self, what: str) -> BadInput:
        return BadInput(
            _(
                "{text}: {what}; write for example: PTV minus expand(rectum, 3), with and, or, xor, minus, "
                "not, expand(..), contract(..) and parentheses"
            ).format(text=self._text, what=what)
        )

    def _next(self) -> tuple[str, bool]:
        return self._words[self._at] if self._at < len(self._words) else ("", False)

    def _take(self, wanted: str) -> bool:
        if self._next() == (wanted, False):
            self._at += 1
            return True
        return False

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._bad(
                _("{wanted} expected before {found}").format(
                    wanted=wanted, found=self._next()[0] or _("the end")
                )
            )

    def read(self) -> Mask:
        """The whole expression."""
        mask = self._sum()
        if self._at < len(self._words):
            raise self._bad(_("{word} was not expected").format(word=self._next()[0]))
        return mask

    def _sum(self) -> Mask:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._bad(_("nested too deeply"))
        mask = self._product()
        while not self._next()[1] and self._next()[0] in _JOIN:
            word = self._next()[0]
            self._at += 1
            mask = _JOIN[word](mask, self._product())
        self._depth -= 1
        return mask

    def _product(self) -> Mask:
        mask = self._factor()
        while self._take("and"):
            mask = mask & self._factor()
        return mask

    def _factor(self) -> Mask:
        invert = False
        while self._take("not"):
            invert = not invert
        mask = self._plain()
        return ~mask if invert else mask

    def _plain(self) -> Mask:
        if self._take("("):
            mask = self._sum()
            self._need(")")
            return mask
        word, quoted = self._next()
        self._at += 1
        if not quoted and word in ("expand", "contract") and self._take("("):
            return self._margin(-1.0 if word == "contract" else 1.0)
        if not word or (not quoted and (word in _WORDS or word in "(),")):
            raise self._bad(_("a region is missing before {found}").format(found=word or _("the end")))
        return self._get(word)

    def _margin(self, sign: float) -> Mask:
        mask = self._sum()
        values = []
        while self._take(","):
            word = self._next()[0]
            try:
                values.append(sign * float(word))
            except ValueError:
                raise self._bad(_("{word} is no number of mm").format(word=word or _("the end"))) from None
            self._at += 1
        self._need(")")
        if len(values) not in (1, 6):
            raise self._bad(_("{count} margins: allowed are 1 or 6").format(count=len(values)))
        return with_margin(mask, self._grid, even(values[0]) if len(values) == 1 else Margin(*values))
