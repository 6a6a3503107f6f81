"""Stoichiometric CT calibration: from measured inserts to the stopping power of tissues.

Schneider, Pedroni and Lomax, Phys Med Biol 41 (1996) 111. The attenuation of a mixture relative to water is
its relative electron density times (k_ph Zp + k_coh Zc + 1) over the same of water, where Zp and Zc are the
electron-weighted means of Z^3.62 and Z^1.86. The scanner's two ratios of cross-sections to the Klein-Nishina
part, k_ph and k_coh, are fitted to inserts of known composition; they give the CT numbers of tissues, whose
stopping power follows from Bethe's formula; a line through the tissues is the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, lsq_linear

from common.errors import BadInput
from common.text import _
from tps_engine.patient.composition import (
    COHERENT_POWER,
    PHOTO_POWER,
    REFERENCE_MEV,
    Material,
    water,
)

Floats = NDArray[np.float64]

_WORST_HU = 25.0
_KNOTS = (-120.0, -70.0, -20.0, 20.0, 70.0, 150.0, 300.0, 600.0, 1000.0)
_HIGHEST_HU = 3071.0
_LOWEST_HU = -1024.0
_SMOOTH = 0.02
_WATER_WEIGHT = 4.0


@dataclass(frozen=True)
class Insert:
    """A measured insert. hu: mean CT number; sd: its uncertainty in HU, the weight of the fit."""

    material: Material
    hu: float
    sd: float = 5.0


@dataclass(frozen=True)
class Scanner:
    """Fitted ratios of photo-electric and coherent cross-section to the Klein-Nishina part.

    errors: standard errors of both. computed: CT number of each insert by the fit, HU, by name.
    """

    k_photo: float
    k_coherent: float
    errors: tuple[float, float]
    computed: Mapping[str, float] = field(repr=False)
    residuals: Mapping[str, float] = field(repr=False)

    @property
    def rms(self) -> float:
        """Root of the mean square of computed minus measured CT numbers, HU."""
        return float(np.sqrt(np.mean(np.square(list(self.residuals.values())))))

    def warnings(self) -> tuple[str, ...]:
        """Inserts that the fit misses by more than 25 HU, and ratios that the inserts do not determine."""
        texts = [
            _("insert {name}: measured {hu} HU away from the fit; check its composition and density").format(
                name=name, hu=f"{-miss:+.0f}"
            )
            for name, miss in self.residuals.items()
            if abs(miss) > _WORST_HU
        ]
        if self.k_photo < self.errors[0] or self.k_coherent < self.errors[1]:
            texts.append(
                _("a ratio of cross-sections is not determined by these inserts; measure more of them")
            )
        return tuple(texts)


@dataclass(frozen=True)
class Curve:
    """Piecewise linear through tissues. hu, rsp, density: (n,) of the table's points; density in g/cm3.

    tissues: name -> (HU, stopping power, table minus stopping power).
    """

    hu: Floats
    rsp: Floats
    density: Floats
    tissues: Mapping[str, tuple[float, float, float]] = field(repr=False)


def hounsfield(material: Material, k_photo: float, k_coherent: float) -> float:
    """CT number of a material in HU on a scanner of these ratios."""
    return 1000.0 * (
        material.relative_electron_density()
        * _cross_section(material, k_photo, k_coherent)
        / _cross_section(water(), k_photo, k_coherent)
        - 1.0
    )


def _cross_section(material: Material, k_photo: float, k_coherent: float) -> float:
    return k_photo * material.moment(PHOTO_POWER) + k_coherent * material.moment(COHERENT_POWER) + 1.0


def fit_scanner(inserts: Sequence[Insert]) -> Scanner:
    """The scanner's ratios by weighted least squares, neither negative.

    Raises BadInput for fewer than four inserts, doubled names, a CT number or uncertainty that cannot be, and
    inserts that do not tell the cross-sections apart (none with bone-like elements).
    """
    _check(inserts)
    measured = np.array([insert.hu for insert in inserts])
    weight = 1.0 / np.array([insert.sd for insert in inserts])

    def model(ratios: Floats) -> Floats:
        return np.array([hounsfield(i.material, ratios[0] * 1e-5, ratios[1] * 1e-3) for i in inserts])

    found = least_squares(
        lambda ratios: (model(ratios) - measured) * weight,
        x0=[3.0, 1.0],
        bounds=(0.0, 100.0),
        x_scale=[1.0, 1.0],
    )
    normal = found.jac.T @ found.jac
    free = max(len(inserts) - 2, 1)
    spread = np.sqrt(np.abs(np.diag(np.linalg.pinv(normal))) * max(2.0 * found.cost / free, 1.0))
    k_photo, k_coherent = float(found.x[0]) * 1e-5, float(found.x[1]) * 1e-3
    computed = model(found.x)
    return Scanner(
        k_photo,
        k_coherent,
        (float(spread[0]) * 1e-5, float(spread[1]) * 1e-3),
        {i.material.name: float(hu) for i, hu in zip(inserts, computed, strict=True)},
        {i.material.name: float(hu - i.hu) for i, hu in zip(inserts, computed, strict=True)},
    )


def _check(inserts: Sequence[Insert]) -> None:
    names = [insert.material.name for insert in inserts]
    if len(inserts) < 4 or len(set(names)) < len(names):
        raise BadInput(
            _("{count} inserts: a calibration needs four or more, each named once").format(count=len(inserts))
        )
    for insert in inserts:
        if not -1100.0 <= insert.hu <= 4000.0 or not 0.0 < insert.sd <= 200.0:
            raise BadInput(
                _(
                    "insert {name}: {hu} HU +- {sd} HU; allowed are -1100 to 4000 and an uncertainty above 0"
                ).format(name=insert.material.name, hu=insert.hu, sd=insert.sd)
            )
    heavy = [
        i.material for i in inserts if i.material.moment(PHOTO_POWER) > 2.0 * water().moment(PHOTO_POWER)
    ]
    if not heavy:
        raise BadInput(
            _("no insert holds heavy elements as bone does: the fit cannot tell them; measure a bone insert")
        )


def curve(scanner: Scanner, tissues: Mapping[str, Material], energy: float = REFERENCE_MEV) -> Curve:
    """The table from air to dense bone: continuous lines that never fall, nearest to all tissues.

    Between fixed CT numbers the lines minimise the squares of the misses with a slight weight on bends; air
    and lung are points of the table, water is weighted. Beyond the densest bone the last line goes on to
    3071 HU. energy: MeV, of the protons. Raises BadInput when air, lung or bone are not among the tissues.
    """
    for needed in ("air", "lung-inflated", "cortical-bone"):
        if needed not in tissues:
            raise BadInput(_("tissue {name} is missing: the table needs it").format(name=needed))
    known = {name: m for name, m in tissues.items() if name != "water"} | {"water": water()}
    names = list(known)
    hu = np.array([hounsfield(known[n], scanner.k_photo, scanner.k_coherent) for n in names])
    rsp = np.array([known[n].relative_stopping_power(energy=energy) for n in names])
    density = np.array([known[n].density for n in names])
    ends = {n: float(hu[names.index(n)]) for n in ("air", "lung-inflated", "cortical-bone")}
    inner = [k for k in _KNOTS if ends["lung-inflated"] + 50.0 < k < ends["cortical-bone"] - 100.0]
    knots = np.array([ends["air"], ends["lung-inflated"], *inner, ends["cortical-bone"]])
    weight = np.where(np.array([n in ("air", "lung-inflated", "water") for n in names]), _WATER_WEIGHT, 1.0)
    found = [_rising(knots, hu, values, weight) for values in (rsp, density)]
    outer, lines = _extended(knots, found)
    misses = np.interp(hu, outer, lines[0]) - rsp
    return Curve(
        outer,
        lines[0],
        lines[1],
        {n: (float(h), float(r), float(m)) for n, h, r, m in zip(names, hu, rsp, misses, strict=True)},
    )


def _rising(knots: Floats, hu: Floats, values: Floats, weight: Floats) -> Floats:
    """Values at the knots of the rising lines nearest to points (hu, values)."""
    count = len(knots)
    place = np.clip(np.searchsorted(knots, hu, side="right") - 1, 0, count - 2)
    share = np.clip((hu - knots[place]) / np.diff(knots)[place], 0.0, 1.0)
    rows = np.zeros((len(hu), count))
    rows[np.arange(len(hu)), place] = 1.0 - share
    rows[np.arange(len(hu)), place + 1] += share
    bends = np.zeros((count - 2, count))
    for k in range(count - 2):
        low, high = knots[k + 1] - knots[k], knots[k + 2] - knots[k + 1]
        # a difference of slopes per 100 HU
        bends[k, k : k + 3] = 100.0 * np.array([1.0 / low, -1.0 / low - 1.0 / high, 1.0 / high])
    # unknowns: the first value and the steps, none negative
    summed = np.tril(np.ones((count, count)))
    system = np.vstack([weight[:, None] * rows, _SMOOTH * bends]) @ summed
    wanted = np.concatenate([weight * values, np.zeros(count - 2)])
    found = lsq_linear(system, wanted, bounds=(0.0, np.inf), tol=1e-12)
    return np.asarray(np.cumsum(found.x))


def _extended(knots: Floats, lines: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
    """The table with its ends: air below, the last line continued to the highest CT number."""
    low = [_LOWEST_HU] if knots[0] > _LOWEST_HU else []
    high = [_HIGHEST_HU] if knots[-1] < _HIGHEST_HU else []
    made = []
    for values in lines:
        slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
        above = [values[-1] + slope * (h - knots[-1]) for h in high]
        made.append(np.array([values[0]] * len(low) + list(values) + above))
    return np.array([*low, *knots, *high]), made
