"""A scanned-ion machine described by tables: depth dose, lateral Gaussians, LET and biology by depth.

Format on disk: `docs/reference/ion-models.md`; reading and writing: `ion_files`. Energies are per nucleon.
"""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.water import Floats

ENERGY_TOLERANCE_MEV = 0.005
"""Two energies per nucleon nearer than this are the same machine energy."""

IONS = {"proton": (1, 1), "helium": (2, 4), "carbon": (6, 12), "oxygen": (8, 16)}
"""Charge and mass number of the ions that a machine may have."""

_WEIGHT_SLACK = 1e-6


@dataclass(frozen=True)
class Tissue:
    """Photon radiosensitivity: alpha in 1/Gy, beta in 1/Gy2."""

    alpha: float
    beta: float

    @property
    def ratio(self) -> float:
        """alpha/beta in Gy."""
        return self.alpha / self.beta


@dataclass(frozen=True, eq=False)
class DepthCurve:
    """Tables of one energy over depth (n,) mm of water, rising.

    dose: (n,) MeV cm2/g per particle, integrated over the plane. sigma: (n, g) mm that each of g Gaussians
    adds in quadrature to the beam's own width. weight: (n, g) parts of the dose, summing to 1.
    let: (n,) dose-averaged LET, keV/um, None: not known. alpha (n, t) 1/Gy, beta (n, t) 1/Gy2 of the mixed
    field for t tissues, None: not known.
    """

    depth: Floats = field(repr=False)
    dose: Floats = field(repr=False)
    sigma: Floats = field(repr=False)
    weight: Floats = field(repr=False)
    let: Floats | None = field(default=None, repr=False)
    alpha: Floats | None = field(default=None, repr=False)
    beta: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class IonMachine:
    """A checked machine; arrays (e,) run over its energies, rising.

    energies: MeV per nucleon. particles_per_mu (e,). offset: (e,) mm added to the tables' depths.
    peak: (e,) depth of the Bragg peak, mm. sad: virtual source distances x, y mm. nozzle: height in mm above
    the isocentre from which air counts towards the tables' depth, None: it does not.
    focus_distance (f,) mm from the source, focus_sigma (e, f) mm: width of the beam in air.
    tissues: those of the curves' alpha and beta; biology: the model that made these, "" for none.
    """

    name: str
    version: str
    ion: str
    source: str
    licence: str
    sad: tuple[float, float]
    nozzle: float | None
    scan_limits: tuple[tuple[float, float], tuple[float, float]]
    minimum_mu: float
    maximum_mu: float
    energies: Floats = field(repr=False)
    particles_per_mu: Floats = field(repr=False)
    offset: Floats = field(repr=False)
    peak: Floats = field(repr=False)
    focus_distance: Floats = field(repr=False)
    focus_sigma: Floats = field(repr=False)
    curves: tuple[DepthCurve, ...] = field(repr=False)
    tissues: tuple[Tissue, ...] = ()
    biology: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def charge(self) -> int:
        """Charge number of the ion."""
        return IONS[self.ion][0]

    @property
    def mass_number(self) -> int:
        """Mass number of the ion."""
        return IONS[self.ion][1]

    @property
    def has_let(self) -> bool:
        """Whether every energy has a table of LET."""
        return all(curve.let is not None for curve in self.curves)

    def index_of(self, energy: float) -> int:
        """Row of an energy in MeV per nucleon. Raises BadInput naming the nearest that there is."""
        nearest = int(np.argmin(np.abs(self.energies - energy)))
        if not abs(self.energies[nearest] - energy) <= ENERGY_TOLERANCE_MEV:
            raise BadInput(
                _(
                    "energy {energy} MeV/u: machine {name} has no such energy; "
                    "the nearest allowed is {nearest} MeV/u"
                ).format(energy=f"{energy:.3f}", name=self.name, nearest=f"{self.energies[nearest]:.3f}")
            )
        return nearest

    def energy_for_depth(self, depth: float) -> float:
        """The lowest energy whose Bragg peak lies at `depth` mm of water or deeper. Raises BadInput."""
        row = int(np.searchsorted(self.peak, depth))
        if row == len(self.peak):
            raise BadInput(
                _("depth {depth} mm: machine {name} reaches {low} to {high} mm in water").format(
                    depth=f"{depth:.1f}",
                    name=self.name,
                    low=f"{self.peak[0]:.1f}",
                    high=f"{self.peak[-1]:.1f}",
                )
            )
        return float(self.energies[row])

    def focus(self, row: int, height: Floats | float) -> Floats:
        """Width in mm in air at heights in mm above the isocentre, of the energy of a row."""
        distance = float(np.mean(self.sad)) - np.asarray(height, dtype=np.float64)
        return np.asarray(np.interp(distance, self.focus_distance, self.focus_sigma[row]))

    def tissue_index(self, tissue: Tissue) -> int:
        """Number of a tissue among the machine's. Raises BadInput listing the tissues there are."""
        for number, known in enumerate(self.tissues):
            if np.isclose(known.alpha, tissue.alpha) and np.isclose(known.beta, tissue.beta):
                return number
        raise BadInput(
            _("alpha {alpha} 1/Gy, beta {beta} 1/Gy2: machine {name} has {known}").format(
                alpha=f"{tissue.alpha:g}",
                beta=f"{tissue.beta:g}",
                name=self.name,
                known="; ".join(f"{known.alpha:g}, {known.beta:g}" for known in self.tissues) or "-",
            )
        )

    def with_biology(
        self, model: str, tissues: tuple[Tissue, ...], tables: list[tuple[Floats, Floats]]
    ) -> "IonMachine":
        """The machine with other biology: alpha (n, t) and beta (n, t) of each energy. Raises BadInput."""
        curves = [
            replace(curve, alpha=alpha, beta=beta)
            for curve, (alpha, beta) in zip(self.curves, tables, strict=True)
        ]
        return replace(self, biology=model, tissues=tissues, curves=tuple(curves))


def _check(machine: IonMachine) -> None:
    """Raise BadInput for arrays of unlike length, values that are no numbers, axes that do not rise."""
    count = len(machine.energies)
    if machine.ion not in IONS:
        raise _bad(machine, f"ion {machine.ion}: allowed are {', '.join(IONS)}")
    each = (machine.particles_per_mu, machine.offset, machine.peak, machine.focus_sigma, machine.curves)
    if count < 1 or any(len(values) != count for values in each):
        raise _bad(machine, f"{count} energies: every table needs one entry an energy, and one or more")
    numbers = (machine.energies, machine.particles_per_mu, machine.offset, machine.focus_sigma)
    if not all(np.isfinite(values).all() for values in numbers):
        raise _bad(machine, "a value is no number; the table is damaged")
    if (np.diff(machine.energies) <= 0.0).any() or machine.energies[0] <= 0.0:
        raise _bad(machine, "energies must be positive and rise")
    if machine.focus_sigma.shape != (count, len(machine.focus_distance)) or (machine.focus_sigma <= 0).any():
        raise _bad(machine, "focus: one positive width is needed an energy and distance")
    if (np.diff(machine.focus_distance) <= 0.0).any() or (machine.particles_per_mu <= 0.0).any():
        raise _bad(machine, "focus distances must rise, and particles per MU be positive")
    if (np.array([[tissue.alpha, tissue.beta] for tissue in machine.tissues]) <= 0.0).any():
        raise _bad(machine, "alpha and beta of a tissue must be above 0")
    for energy, curve in zip(machine.energies, machine.curves, strict=True):
        why = _fault(curve, len(machine.tissues))
        if why:
            raise _bad(machine, f"{energy:.2f} MeV/u: {why}")


def _fault(curve: DepthCurve, tissues: int) -> str:
    """What is wrong with the tables of one energy; empty when nothing is."""
    count = len(curve.depth)
    tables = [getattr(curve, entry.name) for entry in fields(curve)]
    given = [table for table in tables if table is not None]
    if count < 2 or any(len(table) != count for table in given):
        return "tables differ in length, or have fewer than two depths"
    if curve.sigma.shape != curve.weight.shape:
        return "every Gaussian needs a width and a weight"
    biology = [table for table in (curve.alpha, curve.beta) if table is not None]
    columns = [table.shape[1:] for table in biology] or [(0,), (0,)]
    rules = (
        (all(np.isfinite(table).all() for table in given), "a value is no number"),
        ((np.diff(curve.depth) > 0.0).all(), "depths must rise"),
        (min(table.min() for table in given[1:]) >= 0.0, "a value is negative"),
        (
            np.abs(curve.weight.sum(axis=1) - 1.0).max() < _WEIGHT_SLACK,
            "weights must sum to 1 at every depth",
        ),
        (columns == [(tissues,)] * 2, f"alpha and beta need {tissues} columns, one a tissue"),
    )
    return next((why for kept, why in rules if not kept), "")


def _bad(machine: IonMachine, why: str) -> BadInput:
    return BadInput(_("ion machine {name}: {why}").format(name=machine.name, why=why))
