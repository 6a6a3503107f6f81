"""Clinical plans recomputed with the machine's own beam model, against the commercial system's RT Dose.

What is stated for each plan is in GEOMETRY.md of the data: phantom, gantry angles, which RT Dose belongs to
which beam. All that follows is one path for every plan and both engines. The commercial dose is Monte Carlo
with about 0.5 % of noise, and holds RBE 1.1.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.dicom import files, ion_plan, rt_dose
from common.dicom.plan import IonPlan
from common.dicom.rt_dose import DoseGrid
from common.errors import BadInput
from common.site import CONFIG
from common.text import _
from tps_engine.beamdata.importers import common as importers
from tps_engine.beamdata.importers import dcpt
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose import engines, recompute
from tps_engine.evaluate.compare import grid_of
from tps_engine.patient import phantom
from tps_engine.patient.grid import Floats, Grid, resample_nearest
from tps_engine.validate import doses
from tps_engine.validate.case import Case, Check, Outcome, Picture, Setup, at_least, at_most, within
from tps_engine.validate.pictures import Curve, curves, differences

FOLDER = "ion_plans_dcpt"
_TABLE = "DCPT_beam_model__v5.csv"
_EDGES = (0.8, 0.5, 0.2)
_MIDDLE_MM, _NEAR_PEAK_MM = 25.0, 12.0


@dataclass(frozen=True)
class Inputs:
    """What GEOMETRY.md states of a plan. doses: for each beam, and for sum, part of the RT Dose's name.

    centroids: lateral centre of dose (x, z) mm of a beam, NaN where it says none. rates: the gammas that are
    asked, (percent, mm, pass rate). one_scale: 2 %/2 mm is asked after one scale of at most 3 %.
    """

    folder: str
    plan: str
    doses: Mapping[str, str]
    rates: tuple[tuple[float, float, float], ...]
    knee_mm: float
    levels: tuple[tuple[float, str], ...]
    """Where depths are compared: parts of the commercial dose's maximum on the axis, and their names."""
    angles: Mapping[str, float] = field(default_factory=dict)
    centroids: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    one_scale: bool = False
    flat: bool = False
    """Whether edges and penumbra of a wide field are asked, and the place of a peak that stands on a ramp."""


PLAN03 = Inputs(
    "plan03_ramp_full", "ramped*.dcm", {"b1": "16653", "b2": "84138", "sum": "73252"},
    ((2.0, 2.0, 97.0), (3.0, 3.0, 99.0)), 1.5, ((0.8, "R80"), (0.1, "knee"), (0.02, "toe")),
    {"b1": 0.0, "b2": 180.0},
    {"b1": (-0.23, np.nan), "b2": (0.23, np.nan)}, flat=True,
)  # fmt: skip
PLAN06 = Inputs(
    "plan06_sobp_4d", "RP*.dcm", {"sum": "40881"}, ((3.0, 3.0, 95.0),), 1.2,
    ((0.9, "knee"), (0.8, "R80"), (0.1, "toe")), centroids={"sum": (0.80, -1.70)}, one_scale=True,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """The commercial dose and ours on its grid, RBE-weighted Gy of all fractions, 0 outside the phantom."""

    grid: Grid
    theirs: Floats = field(repr=False)
    ours: Floats = field(repr=False)
    away: float
    """+1 where the beam's depth runs with y, -1 against it."""


def cases() -> list[Case]:
    """Both plans with both engines."""
    told = _("the commercial system's RT Dose (Monte Carlo)")
    return [
        Case(f"{name}-{engine}", _("clinical plans"), inputs.folder, engine, told,
             partial(recomputed, inputs, name, engine), quick=False)
        for name, inputs in (("plan03", PLAN03), ("plan06", PLAN06))
        for engine in ("pb", "mc")
    ]  # fmt: skip


def recomputed(inputs: Inputs, name: str, engine: str, setup: Setup) -> Outcome:
    """Every stated dose of one plan against ours."""
    folder = setup.file(FOLDER, inputs.folder)
    model = _model(setup.file(FOLDER, "dcpt_beam_model", _TABLE))
    plan = recompute.turned(ion_plan.from_dataset(files.read_file(_one(folder, inputs.plan))), inputs.angles)
    recompute.check(plan, model)
    box = phantom.load(CONFIG / "validation" / f"{name}.yaml").patient
    theirs = {
        part: rt_dose.from_dataset(files.read_file(_one(folder, f"RD*{number}.dcm")))
        for part, number in inputs.doses.items()
    }
    grid = grid_of(theirs["sum"])
    options = engines.Options(noise=0.01 * setup.noise, seed=20)
    found = recompute.recompute(box, grid, plan, model, engines.full_engine_of(engine), options)
    inside = resample_nearest(box.body, box.grid, grid)
    checks: list[Check] = []
    noises = [100.0 * part.found.noise for part in found if part.found.noise is not None]
    if noises:
        checks.append(
            at_most(_("Monte Carlo noise above half maximum"), max(noises), 1.02 * setup.noise, "%")
        )
    pictures = []
    for part, dose in theirs.items():
        pair = _pair(plan, found, part, dose, inside)
        checks += [_named(part, check) for check in _judged(inputs, part, pair)]
        pictures += [_profile(part, engine, pair)]
    last = _pair(plan, found, "sum", theirs["sum"], inside)
    pictures.append(differences(_("sum"), grid, (last.theirs, last.ours), (_("commercial system"), engine)))
    spots = sum(beam.spot_count for beam in plan.beams)
    note = _("{spots} spots; beam model {model}; depths: middle 50 mm of the field, one level in Gy for both")
    return Outcome(tuple(checks), tuple(pictures), (note.format(spots=spots, model=model.name),))


def _model(table: Path) -> BeamModel:
    with tempfile.TemporaryDirectory() as place:
        return importers.write(dcpt.read(table), Path(place) / "dcpt.yaml")


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BadInput(f"{folder.name}: {len(found)} files {pattern}: allowed is one")
    return found[0]


def _pair(
    plan: IonPlan, found: list[recompute.BeamDose], part: str, dose: DoseGrid, inside: NDArray[np.bool_]
) -> Pair:
    if grid_of(dose).shape != inside.shape:
        raise BadInput(f"RT Dose of {part} lies on another grid than the sum")
    used = [one for one in found if part in ("sum", one.beam.name)]
    if not used:
        raise BadInput(f"the plan has no beam {part}")
    ours = np.sum([one.dose for one in used], axis=0, dtype=np.float64)
    factor = plan.fractions * recompute.RBE_PROTON
    away = -1.0 if abs(used[0].beam.gantry - 180.0) < 1.0 else 1.0
    theirs = dose.dose.astype(np.float64) * (recompute.RBE_PROTON if dose.dose_type == "PHYSICAL" else 1.0)
    return Pair(grid_of(dose), np.where(inside, theirs, 0.0), np.where(inside, factor * ours, 0.0), away)


def _named(part: str, check: Check) -> Check:
    return Check(f"{part}: {check.what}", check.value, check.unit, check.low, check.high, check.reference)


def _scored(pair: Pair, factor: float = 1.0) -> tuple[doses.Scored, doses.Scored]:
    return (
        doses.Scored(pair.grid, pair.theirs.astype(np.float32), 0.0),
        doses.Scored(pair.grid, (factor * pair.ours).astype(np.float32), 0.0),
    )


def _judged(inputs: Inputs, part: str, pair: Pair) -> list[Check]:
    high = pair.theirs > 0.5 * pair.theirs.max()
    ratio = float(pair.ours[high].sum() / pair.theirs[high].sum())
    absolute = _("absolute")
    checks = [
        doses.gamma_check(doses.compare(*_scored(pair), percent, distance), rate, absolute)
        for percent, distance, rate in inputs.rates
    ]
    if inputs.one_scale:
        scaled = doses.compare(*_scored(pair, 1.0 / ratio), 2.0, 2.0)
        checks.append(
            doses.gamma_check(scaled, 95.0, _("after a scale of {factor}").format(factor=f"{1 / ratio:.4f}"))
        )
    mean = within(
        _("mean dose above half maximum"), 100.0 * (ratio - 1.0), 3.0 if inputs.one_scale else 2.0, "%"
    )
    checks.append(mean)
    if part != "sum" or len(inputs.doses) == 1:
        checks += _depths(inputs, pair)
        checks += _centroids(inputs.centroids.get(part, (np.nan, np.nan)), pair)
        if inputs.flat:
            checks += _edge_checks(pair)
    return checks


def _axis(pair: Pair, values: Floats) -> tuple[Floats, Floats]:
    """Depth in the direction of the beam, mm, and the mean dose of the field's middle about x = z = 0."""
    middle = [np.abs(pair.grid.axis(axis)) <= _MIDDLE_MM for axis in (0, 2)]
    depth = pair.away * pair.grid.axis(1)
    line = values[np.ix_(middle[1], np.ones(len(depth), dtype=bool), middle[0])].mean(axis=(0, 2))
    order = np.argsort(depth)
    return depth[order], line[order]


def _depths(inputs: Inputs, pair: Pair) -> list[Check]:
    """Where the dose on the axis falls through levels in Gy, the same for both doses."""
    depth, theirs = _axis(pair, pair.theirs)
    ours = _axis(pair, pair.ours)[1]
    names = {"knee": _("knee"), "toe": _("toe"), "R80": "R80"}
    checks = []
    for level, name in inputs.levels:
        wanted = level * float(theirs.max())
        a, b = (_falls(depth, line, wanted) for line in (theirs, ours))
        what = _("{name}, {level} % of the maximum").format(name=names[name], level=f"{100 * level:g}")
        checks.append(within(what, b - a, inputs.knee_mm, "mm", f"y {pair.away * a:.2f} mm"))
    if inputs.flat:
        moved = _displacement(depth, theirs, ours)
        checks.append(within(_("peak at the top of the ramp"), moved, inputs.knee_mm, "mm"))
    return checks


def _falls(depth: Floats, line: Floats, wanted: float) -> float:
    """The deepest place at which a dose falls through `wanted` Gy."""
    last = int(np.flatnonzero(line > wanted)[-1])
    return float(np.interp(-wanted, -line[last : last + 2], depth[last : last + 2]))


def _displacement(depth: Floats, theirs: Floats, ours: Floats) -> float:
    """How many mm deeper our peak lies: the shift that fits best about their maximum, at any height."""
    near = np.abs(depth - depth[int(np.argmax(theirs))]) <= _NEAR_PEAK_MM
    shifts = np.arange(-3.0, 3.01, 0.05)
    misfits = []
    for shift in shifts:
        moved = np.interp(depth[near] + shift, depth, ours)
        scale = float(moved @ theirs[near] / (moved @ moved))
        misfits.append(float(np.sum((scale * moved - theirs[near]) ** 2)))
    return float(shifts[int(np.argmin(misfits))])


def _centroids(stated: tuple[float, float], pair: Pair) -> list[Check]:
    """Of all dose in the phantom: against the commercial dose, and the sign that GEOMETRY.md states."""
    checks = []
    for axis, said in zip((0, 2), stated, strict=True):
        theirs, ours = (_centre(pair.grid, values, axis) for values in (pair.theirs, pair.ours))
        name = _("centroid {axis}").format(axis="xyz"[axis])
        checks.append(within(name, ours - theirs, 0.2, "mm", f"{theirs:.2f} mm"))
        if np.isfinite(said):
            sign = at_least(
                _("sign of {what}").format(what=name), ours * np.sign(said), 0.0, "mm", f"{said} mm"
            )
            checks.append(sign)
    return checks


def _centre(grid: Grid, values: Floats, axis: int) -> float:
    line = values.sum(axis=tuple(k for k in range(3) if k != 2 - axis))
    return float(line @ grid.axis(axis) / line.sum())


def _edge_checks(pair: Pair) -> list[Check]:
    """Places of three levels of the profile in x, 40 mm before the isocentre, and penumbrae."""
    theirs, ours = (_edges(pair, values) for values in (pair.theirs, pair.ours))
    checks = [
        within(_("edge at {level} %").format(level=f"{100 * level:.0f}"), moved, 0.5, "mm")
        for level, a, b in zip(_EDGES, theirs, ours, strict=True)
        for moved in (b[0] - a[0], b[1] - a[1])
    ]
    for side in (0, 1):
        widths = [abs(found[2][side] - found[0][side]) for found in (theirs, ours)]
        checks.append(
            within(_("penumbra 80 % to 20 %"), widths[1] - widths[0], 0.5, "mm", f"{widths[0]:.2f} mm")
        )
    return checks


def _edges(pair: Pair, values: Floats) -> list[tuple[float, float]]:
    """Left and right place in x of each level of the mean of the middle, 40 mm before the isocentre."""
    grid = pair.grid
    x, middle = grid.axis(0), grid.shape[0] // 2
    row = int(np.argmin(np.abs(pair.away * grid.axis(1) + 40.0)))
    line = values[middle - 2 : middle + 3, row - 1 : row + 2].mean(axis=(0, 1))
    found = []
    for level in _EDGES:
        wanted = level * line[np.abs(x) < 25.0].mean()
        inside = np.flatnonzero(line > wanted)
        a, b = int(inside[0]), int(inside[-1])
        left = np.interp(wanted, line[a - 1 : a + 1], x[a - 1 : a + 1])
        right = np.interp(wanted, line[b + 1 : b - 1 : -1], x[b + 1 : b - 1 : -1])
        found.append((float(left), float(right)))
    return found


def _profile(part: str, engine: str, pair: Pair) -> Picture:
    return curves(
        f"{part}: " + _("dose on the axis"), (_("depth from the isocentre (mm)"), "Gy (RBE)"),
        [Curve(_("commercial system"), *_axis(pair, pair.theirs)), Curve(engine, *_axis(pair, pair.ours))],
    )  # fmt: skip
