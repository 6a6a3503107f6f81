"""Place and size of spots by energy: a grid of spots, seen by the nozzle, against what was asked for."""

from dataclasses import dataclass

import numpy as np

from common.text import _
from ptcs.commissioning.beam import Delivered, Spot
from ptcs.commissioning.fits.line import Line, fit_line
from ptcs.commissioning.instruments import Deliverer
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Plan, Point
from ptcs.commissioning.result import Quantity, Result, Table, now
from ptcs.commissioning.results import keep
from tps_engine.beamdata.model import BeamModel

PLACE_MM, GAIN, SIZE = 1.0, 0.01, 0.1
"""Tolerances: absolute place, scanning gain, relative size (machine.md: monthly +-1 mm, +-10 %)."""
SPOT_MU = 0.5


@dataclass(frozen=True)
class SpotGrid:
    """energies: MeV. reach: mm, from the axis to the outermost spot; side: spots on a side of the grid."""

    energies: tuple[float, ...]
    reach: float = 60.0
    side: int = 5

    def spots(self, layer: int, sigma: float) -> list[Spot]:
        """The grid of one energy."""
        places = np.linspace(-self.reach, self.reach, self.side)
        return [Spot(layer, float(x), float(y), SPOT_MU, sigma) for y in places for x in places]


@dataclass(frozen=True)
class Seen:
    """Of one energy: lines of seen against asked place, and relative size with standard error."""

    x: Line
    y: Line
    size: float
    size_error: float


def seen_of(asked: list[Spot], found: Delivered, rows: slice) -> Seen:
    """Place and size of the spots `rows` of a delivery."""
    nothing = np.full(len(asked), np.nan)
    x = fit_line(np.array([spot.x for spot in asked]), found.x[rows], nothing)
    y = fit_line(np.array([spot.y for spot in asked]), found.y[rows], nothing)
    sizes = 0.5 * (found.size_x[rows] + found.size_y[rows]) / np.array([spot.sigma for spot in asked])
    return Seen(x, y, float(sizes.mean()), float(sizes.std(ddof=1) / np.sqrt(len(sizes))))


def measure_spots(session: Session, beam: Deliverer, grid: SpotGrid, model: BeamModel) -> Result:
    """Deliver the grids in one map and judge. Raises Refused, LinkLost."""
    bench = session.bench
    sigmas = [float(model.sigma[model.index_of(energy)].mean()) for energy in grid.energies]
    grids = [grid.spots(layer, sigma) for layer, sigma in enumerate(sigmas)]
    plan = Plan(_("Place and size of spots"), ("energy",), tuple((e,) for e in grid.energies),
                ("offset x", "offset y", "gain x", "gain y", "size"), kind="spots")  # fmt: skip
    measured = session.store.begin(plan, (0.0,), bench.user, session.machine())
    found = beam.deliver(list(grid.energies), [spot for spots in grids for spot in spots])
    rows: list[Seen] = []
    for index, (energy, spots) in enumerate(zip(grid.energies, grids, strict=True)):
        seen = seen_of(spots, found, slice(index * len(spots), (index + 1) * len(spots)))
        rows.append(seen)
        values = (seen.x.offset, seen.y.offset, seen.x.slope, seen.y.slope, seen.size)
        errors = (
            seen.x.offset_error,
            seen.y.offset_error,
            seen.x.slope_error,
            seen.y.slope_error,
            seen.size_error,
        )
        point = Point(index, (energy,), values, errors, (len(spots),) * 5, bench.now())
        measured = session.store.append(measured, point)
    for watch in session.watch:
        watch(measured)
    return keep(session.store, _judged(session, measured.id, grid, rows, model))


def _judged(session: Session, number: str, grid: SpotGrid, rows: list[Seen], model: BeamModel) -> Result:
    def worst(name: str, pairs: list[tuple[float, float]], middle: float, most: float, unit: str) -> Quantity:
        value, error = max(pairs, key=lambda pair: abs(pair[0] - middle))
        return Quantity(name, value, error, unit, middle - most, middle + most)

    quantities = (
        worst("offset x", [(r.x.offset, r.x.offset_error) for r in rows], 0.0, PLACE_MM, "mm"),
        worst("offset y", [(r.y.offset, r.y.offset_error) for r in rows], 0.0, PLACE_MM, "mm"),
        worst("scanning gain x", [(r.x.slope, r.x.slope_error) for r in rows], 1.0, GAIN, "1"),
        worst("scanning gain y", [(r.y.slope, r.y.slope_error) for r in rows], 1.0, GAIN, "1"),
        worst("relative size", [(r.size, r.size_error) for r in rows], 1.0, SIZE, "1"),
    )
    columns = ("energy MeV", "offset x mm", "offset y mm", "gain x", "gain y", "relative size")
    table = Table("spots", columns, tuple(
        (energy, row.x.offset, row.y.offset, row.x.slope, row.y.slope, row.size)
        for energy, row in zip(grid.energies, rows, strict=True)
    ))  # fmt: skip
    return Result(
        number, "spots", _("Place and size of spots"), session.bench.user, now(), quantities,
        {"reach": grid.reach, "side": grid.side, "model": f"{model.name} {model.version}"},
        session.store.head(number)["machine"], (table,),
    )  # fmt: skip
