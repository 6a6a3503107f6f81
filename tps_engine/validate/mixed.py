"""Matter that is not water: slabs, materials side by side, oblique entry, a range shifter with an air gap."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from common.dicom.plan import IonBeam
from common.text import _
from tps_engine.beamdata import bragg
from tps_engine.beamdata.model import BeamModel
from tps_engine.patient.grid import Grid
from tps_engine.validate import doses
from tps_engine.validate.case import Case, Check, Outcome, Setup, within
from tps_engine.validate.phantoms import (
    Box,
    Phantom,
    beam,
    build,
    cube,
    layer,
    machine_energy,
    square,
    stopping_ratio,
)
from tps_engine.validate.pictures import differences

_MEV = 130.0
_STEP = 3.0
_RATE = 98.0
_FIRST, _LAST = 30.0, 60.0
_SHIFTER_MM, _GAP_MM = 30.0, 120.0


@dataclass(frozen=True)
class Scene:
    """One comparison of the engines."""

    phantom: Phantom = field(repr=False)
    planned: IonBeam = field(repr=False)
    symmetry: doses.Symmetry = "square"


def cases() -> list[Case]:
    """Pencil beam against Monte Carlo."""
    told = _("our Monte Carlo, dose to water")
    group = _("other matter than water")
    return [
        Case("water-pb", group, _("a small field in water"), "pb", told, partial(_water)),
        *(
            Case(f"slab-{name}", group, _("slab of {material}, 30 mm").format(material=name), "pb, mc", told,
                 partial(_slab, name), quick=name == "cortical-bone")
            for name in ("cortical-bone", "lung", "air")
        ),
        Case("side-by-side", group, _("bone beside lung, seen edge on"), "pb", told, _side, quick=False),
        Case("oblique", group, _("oblique entry at 45 degrees"), "pb", told, _oblique, quick=False),
        Case("shifter", group, _("range shifter of 30 mm PMMA and 120 mm of air"), "pb",
             _("our Monte Carlo through the shifter as matter"), _shifter, quick=False),
    ]  # fmt: skip


def _field(model: BeamModel, energy: float) -> IonBeam:
    return beam(model, energy, square(1, 5.0))


def _compare(setup: Setup, scene: Scene, normal: int = 2) -> Outcome:
    """Gamma of the pencil beam against Monte Carlo, mean dose ratio, and R80 of both where asked."""
    reference = doses.symmetric_monte_carlo(
        scene.phantom, scene.planned, setup.model, setup.noise, scene.symmetry
    )
    pencil = doses.pencil_means(scene.phantom, scene.planned, setup.model)
    return judged(setup, reference, pencil, normal)


def judged(setup: Setup, reference: doses.Scored, pencil: doses.Scored, normal: int = 2) -> Outcome:
    """Noise, gamma and mean ratio of a pencil beam dose against a Monte Carlo one."""
    found = doses.compare(reference, pencil, 2.0, 2.0)
    high = reference.dose > 0.5 * reference.dose.max()
    ratio = float(pencil.dose[high].mean(dtype=np.float64) / reference.dose[high].mean(dtype=np.float64))
    checks = (
        doses.noise_check(reference, setup.noise),
        doses.gamma_check(found, _RATE, _("Monte Carlo")),
        within(_("mean dose above half maximum"), 100.0 * (ratio - 1.0), 2.0, "%", _("Monte Carlo")),
    )
    names = (_("Monte Carlo"), _("pencil beam"))
    picture = differences(
        _("plane through the maximum"), reference.grid, (reference.dose, pencil.dose), names, normal
    )
    notes = (
        _("the pencil beam's dose is the mean over each voxel, as Monte Carlo scores it"),
        _("Monte Carlo: the mean of its mirror images about the axis where phantom and field are symmetric"),
    )
    return Outcome(checks, (picture,), notes)


def _water(setup: Setup) -> Outcome:
    energy = machine_energy(setup.model, _MEV)
    phantom = build(cube(_STEP, 63.0, _depth(setup.model, energy)))
    return _compare(setup, Scene(phantom, _field(setup.model, energy)))


def _depth(model: BeamModel, energy: float, more: float = 15.0) -> float:
    return float(_STEP * np.ceil((float(model.water.range_of(energy)) + more) / _STEP))


def _slab(material: str, setup: Setup) -> Outcome:
    """Gamma, and the pull-back of R80 of both engines against thickness x (stopping power - 1)."""
    energy = machine_energy(setup.model, _MEV)
    power = stopping_ratio(material)
    loss = (_LAST - _FIRST) * (power - 1.0)
    grid = cube(_STEP, 63.0, _depth(setup.model, energy, 15.0 + max(-loss, 0.0)))
    phantom = build(grid, [layer(material, _FIRST, _LAST)])
    outcome = _compare(setup, Scene(phantom, _field(setup.model, energy)))
    checks = list(outcome.checks)
    for engine in ("pb", "mc"):
        pulled = _r80(engine, setup.model, energy, []) - _r80(
            engine, setup.model, energy, [layer(material, _FIRST, _LAST)]
        )
        told = f"{loss:.2f} mm"
        checks.append(
            within(_("{engine}: pull-back of R80").format(engine=engine), pulled - loss, 0.5, "mm", told)
        )
    return replace(outcome, checks=tuple(checks))


def _r80(engine: str, model: BeamModel, energy: float, boxes: Sequence[Box]) -> float:
    """R80 in mm of the dose across a wide square, layers across the beam in water, steps of 0.5 mm."""
    step, depth = 0.5, float(model.water.range_of(energy)) + 50.0
    column = build(Grid((0.0, 0.5 * step, 0.0), (300.0, step, 300.0), (1, round(depth / step), 1)), boxes)
    planned = beam(model, energy)
    if engine == "mc":
        curve = doses.histories(column, planned, model, 30_000).dose_to_water[0, :, 0]
        return bragg.distal_depth(column.grid.axis(1), curve.astype(np.float64), 0.8)
    rows = column.grid.shape[1]
    grid = Grid((-60.0, 0.5 * step, -60.0), (4.0, step, 4.0), (31, rows, 31))
    curve = doses.pencil(column, planned, model, grid).dose.sum(axis=(0, 2), dtype=np.float64)
    return bragg.distal_depth(grid.axis(1), curve, 0.8)


def _side(setup: Setup) -> Outcome:
    energy = machine_energy(setup.model, _MEV)
    grid = cube(_STEP, 63.0, _depth(setup.model, energy, 36.0))
    big = np.inf
    boxes = [
        Box("cortical-bone", (-big, _FIRST, -big), (0.0, _LAST, big)),
        Box("lung", (0.0, _FIRST, -big), (big, _LAST, big)),
    ]
    return _compare(setup, Scene(build(grid, boxes), _field(setup.model, energy), "mirror"))


def _oblique(setup: Setup) -> Outcome:
    """Air above the plane that runs at 45 degrees to the beam: a step per voxel of 3 mm."""
    energy = machine_energy(setup.model, _MEV)
    wide, deep = 63.0, _depth(setup.model, energy, 45.0)
    grid = cube(_STEP, wide, deep)
    stairs = [
        Box("air", (edge - 0.5 * _STEP, -np.inf, -np.inf), (edge + 0.5 * _STEP, 33.0 + edge, np.inf))
        for edge in grid.axis(0)
    ]
    phantom = build(grid, stairs)
    body = phantom.patient.rsp > 0.5
    solid = replace(phantom, patient=replace(phantom.patient, body=body))
    reference = doses.symmetric_monte_carlo(
        solid, _field(setup.model, energy), setup.model, setup.noise, "mirror"
    )
    pencil = doses.pencil_means(solid, _field(setup.model, energy), setup.model)
    inside = replace(reference, dose=np.where(body, reference.dose, np.float32(0.0)))
    return judged(setup, inside, pencil)


def _shifter(setup: Setup) -> Outcome:
    """The pencil beam with the shifter as the plan states it, Monte Carlo with the same slab as matter."""
    energy = machine_energy(setup.model, 150.0)
    power = stopping_ratio("pmma")
    before = _SHIFTER_MM + _GAP_MM
    wet = _SHIFTER_MM * power
    water = _depth(setup.model, energy, 15.0 - wet)
    whole = cube(_STEP, 93.0, before + water)
    matter = build(whole, [layer("pmma", -1.0, _SHIFTER_MM), layer("air", _SHIFTER_MM, before)])
    face = (0.0, before, 0.0)
    planned = beam(setup.model, energy, square(1, 5.0), isocentre=face)
    reference = doses.symmetric_monte_carlo(matter, planned, setup.model, setup.noise, "square")
    first = round(before / _STEP)
    nz, ny, nx = whole.shape
    rest = Grid((whole.origin[0], before + 0.5 * _STEP, whole.origin[2]), whole.spacing, (nz, ny - first, nx))
    shifted = replace(planned, range_shifter="PMMA", range_shifter_wet=wet, range_shifter_distance=_GAP_MM)
    pencil = doses.pencil_means(build(rest), shifted, setup.model)
    below = replace(reference, grid=rest, dose=np.ascontiguousarray(reference.dose[:, first:]))
    outcome = judged(setup, below, pencil)
    checks: list[Check] = list(outcome.checks)
    axis = rest.axis(1) - before
    r80 = [bragg.distal_depth(axis, s.dose.sum(axis=(0, 2), dtype=np.float64), 0.8) for s in (below, pencil)]
    checks.append(within(_("R80 difference"), r80[1] - r80[0], 0.5, "mm", f"{r80[0]:.2f} mm"))
    widths = [_width(s) for s in (below, pencil)]
    told = f"{widths[0]:.2f} mm"
    checks.append(
        within(_("field width at the surface"), 100.0 * (widths[1] / widths[0] - 1.0), 4.0, "%", told)
    )
    return replace(outcome, checks=tuple(checks))


def _width(scored: doses.Scored) -> float:
    """Standard deviation in x of the dose within 35 mm at the first depth, mm."""
    x = scored.grid.axis(0)
    near = np.abs(x) <= 35.0
    row = scored.dose[:, 0][:, near].sum(axis=0, dtype=np.float64)
    return float(np.sqrt(row @ x[near] ** 2 / row.sum()))
