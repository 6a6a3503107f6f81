"""A machine of ion tables as planning sees it: one kernel for the matrix and for the forward dose."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.biology import parameters
from tps_engine.dose.ions import engine, spots
from tps_engine.dose.ions.plan import beam_sums
from tps_engine.dose.raytrace import water_depth
from tps_engine.dose.spots import Spots
from tps_engine.optimise.delivery_time import Timing
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient
from tps_engine.patient.stopping_power import AIR
from tps_engine.plan.effects import ALPHA, DOSE, LET_DOSE, PHYSICAL, ROOT_BETA, Effects, Matrices, Sums
from tps_engine.plan.geometry import Place
from tps_engine.plan.layout import LayoutOptions

Mask = NDArray[np.bool_]
Tissues = Mapping[str, str | float]
"""For a region a tissue of the parameter set `proton-rbe`, or its alpha/beta in Gy."""

DEFAULT_RATIO_GY = 10.0
"""alpha/beta of what no region is named for, Gy: early-responding tissue and most tumours; nearest counts."""

PARTICLES_A_SECOND = {"proton": 2e9, "helium": 5e8, "carbon": 1e8, "oxygen": 5e7}
"""Round numbers for extraction from a synchrotron, assumed where a site does not give its own `Timing`."""

_SAME_RATIO = 0.01
_ONE_SIGMA = float(np.exp(-0.5))


@dataclass(frozen=True)
class Ions:
    """A machine of ion tables."""

    machine: IonMachine
    species: str = "ION"

    @property
    def name(self) -> str:
        """The machine's."""
        return self.machine.name

    @property
    def version(self) -> str:
        """The machine's."""
        return self.machine.version

    @property
    def energies(self) -> Floats:
        """(e,) MeV per nucleon, rising."""
        return self.machine.energies

    @property
    def virtual_sad(self) -> tuple[float, float]:
        """Virtual source distances x, y, mm."""
        return self.machine.sad

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest MU of a spot."""
        return self.machine.minimum_mu, self.machine.maximum_mu

    @property
    def layout(self) -> LayoutOptions:
        """Spacing of spots that gives an even dose; a peak falls off more steeply than a Gaussian."""
        return LayoutOptions(width_factor=1.5, least_step=2.0)

    @property
    def timing(self) -> Timing:
        """What delivery takes, with the usual number of particles in a second."""
        each = float(np.mean(self.machine.particles_per_mu))
        return Timing(mu_rate=PARTICLES_A_SECOND[self.machine.ion] / each)

    def index_of(self, energy: float) -> int:
        """Row of an energy. Raises BadInput."""
        return self.machine.index_of(energy)

    def peaks(self) -> tuple[Floats, Floats]:
        """Depth of the peak, and half its width where a Gaussian has one standard deviation, mm."""
        return self.machine.peak + self.machine.offset, np.array(
            [_half_width(curve.depth, curve.dose) for curve in self.machine.curves]
        )

    def width(self, row: int) -> tuple[float, float]:
        """Standard deviations in air, mm."""
        sigma = float(self.machine.focus(row, 0.0))
        return sigma, sigma

    def spots(self, energy: Floats, x: Floats, y: Floats) -> Spots:
        """Spots of the machine's widths."""
        return spots.nominal(self.machine, energy, x, y)

    def depth(self, place: Place) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth, with the air that the machine's tables count, and entrance."""
        depth, surface = water_depth(place.rsp, place.grid, place.frame, place.points)
        if self.machine.nozzle is not None:
            height = place.frame.to_gantry(place.points)[:, 2]
            more = water_depth(place.rsp - AIR, place.grid, place.frame, place.points)[0]
            depth = (more + AIR * np.maximum(self.machine.nozzle - height, 0.0)).astype(np.float32)
        return depth, surface

    def effects(
        self, model: str, shape: tuple[int, ...], regions: Mapping[str, Mask], tissues: Tissues
    ) -> Effects:
        """Physical dose, or the machine's own tables of alpha and beta."""
        none = np.zeros(0)
        if model == PHYSICAL:
            if tissues:
                raise BadInput(_("alpha/beta of regions needs a biological model; choose one"))
            return Effects(model, None, none, np.zeros(0, np.int8), (none, none), self.machine.has_let)
        tissue = np.full(shape, _default_tissue(self.machine), dtype=np.int8)
        for region, ratio in tissues.items():
            if region not in regions:
                raise BadInput(
                    _("no region named {name} on this grid: it has {known}").format(
                        name=region, known=", ".join(sorted(regions)) or "-"
                    )
                )
            value = parameters.load().alpha_beta(ratio) if isinstance(ratio, str) else float(ratio)
            tissue[regions[region]] = tissue_of(self.machine, value)
        flat = tissue.ravel()
        photons = np.array([(one.alpha, one.beta) for one in self.machine.tissues])[flat]
        ratios = photons[:, 0] / photons[:, 1]
        both = (np.ascontiguousarray(photons[:, 0]), np.ascontiguousarray(photons[:, 1]))
        return Effects(model, None, ratios, flat, both, self.machine.has_let)

    def matrices(
        self, place: Place, placed: Spots, sums: frozenset[str], effects: Effects, memory: int
    ) -> Matrices:
        """Dose and whatever else is wanted, which share one index."""
        voxels = spots.field_of(self.machine, place.rsp, place.grid, place.frame, place.points, placed)
        tissue = effects.tissue if ALPHA in sums else None
        found = engine.influence(voxels, self.machine, placed, tissue, LET_DOSE in sums, memory_limit=memory)
        parts = {DOSE: found.dose, LET_DOSE: found.let, ALPHA: found.alpha, ROOT_BETA: found.root_beta}
        return {name: part for name, part in parts.items() if part is not None}

    def beam(
        self, patient: Patient, grid: Grid, given: IonBeam, sums: frozenset[str], effects: Effects
    ) -> Sums:
        """Sums of a beam."""
        tissue = effects.tissue.reshape(grid.shape) if ALPHA in sums else None
        found = beam_sums(patient, grid, given, self.machine, tissue, LET_DOSE in sums)
        return dict(zip((DOSE, LET_DOSE, ALPHA, ROOT_BETA), found, strict=True))


def tissue_of(machine: IonMachine, ratio: float) -> int:
    """Number of the machine's tissue of an alpha/beta in Gy. Raises BadInput naming those that it has."""
    for number, tissue in enumerate(machine.tissues):
        if abs(tissue.ratio - ratio) < _SAME_RATIO * tissue.ratio:
            return number
    known = ", ".join(f"{tissue.ratio:.3g}" for tissue in machine.tissues)
    raise BadInput(
        _("alpha/beta {ratio} Gy: the machine {name} has tables for {known}").format(
            ratio=f"{ratio:g}", name=machine.name, known=known or "-"
        )
    )


def _default_tissue(machine: IonMachine) -> int:
    distance = [abs(tissue.ratio - DEFAULT_RATIO_GY) for tissue in machine.tissues]
    return int(np.argmin(distance))


def _half_width(depth: Floats, dose: Floats) -> float:
    top = int(np.argmax(dose))
    level = _ONE_SIGMA * float(dose[top])
    before = depth[: top + 1][dose[: top + 1] < level]
    behind = depth[top:][dose[top:] < level]
    near = float(before[-1]) if len(before) else float(depth[0])
    far = float(behind[0]) if len(behind) else float(depth[-1])
    return 0.5 * (far - near)
