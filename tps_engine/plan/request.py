"""What a plan is made from and what it consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.biology import parameters
from tps_engine.evaluate.dvh import Dvh
from tps_engine.optimise.delivery_time import DeliveryTime, Timing
from tps_engine.patient.grid import Grid
from tps_engine.plan.aims import parse
from tps_engine.plan.layout import LayoutOptions

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and the name of the step."""


@dataclass(frozen=True)
class OrganLimit:
    """An organ to spare. max_gy: largest RBE-weighted dose in Gy over all fractions, or None."""

    name: str
    max_gy: float | None = None


@dataclass(frozen=True)
class Prescription:
    """RBE-weighted dose in Gy per fraction to a target, and the organs to spare.

    rbe_model: of the set `proton-rbe`; 1.1 for protons as in ICRU Report 78.
    """

    target: str
    dose_per_fraction: float
    fractions: int
    organs: tuple[OrganLimit, ...] = ()
    rbe_model: str = "constant 1.1"

    def __post_init__(self) -> None:
        if not 0.0 < self.dose_per_fraction <= 30.0 or self.fractions < 1:
            raise BadInput(
                _(
                    "prescription of {dose} Gy in {fractions} fractions: allowed are up to 30 Gy, "
                    "and 1 fraction or more"
                ).format(dose=self.dose_per_fraction, fractions=self.fractions)
            )
        parameters.load().model(self.rbe_model)


@dataclass(frozen=True)
class FieldRequest:
    """One field: name and angles in degrees (IEC 61217)."""

    name: str
    gantry: float
    couch: float = 0.0


@dataclass(frozen=True)
class Displacement:
    """Where the points of the reference image lie in a phase: point + vector there.

    vectors: (nz, ny, nx, 3) mm along x, y, z on `grid`; between its voxels linear, outside the nearest.
    """

    grid: Grid
    vectors: NDArray[np.floating] = field(repr=False)

    def __post_init__(self) -> None:
        if self.vectors.shape != (*self.grid.shape, 3) or not np.isfinite(self.vectors).all():
            raise BadInput(
                _("displacements of shape {shape}: needed are three numbers on each voxel of {grid}").format(
                    shape=self.vectors.shape, grid=self.grid.shape
                )
            )


@dataclass(frozen=True)
class Phase:
    """One CT of a breathing cycle. motion: from the reference image into it, mm, rigid or by voxel."""

    name: str
    ct: CtVolume = field(repr=False)
    motion: tuple[float, float, float] | Displacement = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Robustness:
    """Errors that a plan must bear: set-up shifts in mm along three axes, range in percent, to and fro.

    aim: "worst" minimises the worst scenario, "expected" the mean of all, "voxel" the worst of each voxel.
    phases: images of the breathing cycle beside the reference, on which each of the errors may fall.
    accumulate: a scenario is then the mean dose over the cycle (phases alike in time), not one phase's.
    """

    shift: float = 3.0
    range_percent: float = 3.5
    aim: Literal["worst", "expected", "voxel"] = "worst"
    phases: tuple[Phase, ...] = ()
    accumulate: bool = False

    def wider(self, layout: LayoutOptions) -> LayoutOptions:
        """A layout whose spots reach the target in every scenario."""
        return replace(layout, beyond=self.shift, range_part=self.range_percent / 100.0)


@dataclass(frozen=True)
class Reduction:
    """Fewer layers and spots: what part of the objectives' value may be lost for each; None: all are kept."""

    layers: float | None = None
    spots: float | None = None

    def __post_init__(self) -> None:
        if any(loss is not None and not 0.0 <= loss <= 10.0 for loss in (self.layers, self.spots)):
            raise BadInput(_("a reduction may cost 0 to 10 times the objectives' value"))


@dataclass(frozen=True)
class PlanOptions:
    """Choices of the planner. margin: target to planning target, mm. dose_spacing: dose grid, mm.

    robust: then the objectives hold for the target itself in every scenario, instead of for the planning
    target in one. layout: None: what the machine's peaks need. model: biology, as `radiation.with_model`
    takes it; tissues: for a region a tissue of the parameter set or its alpha/beta, Gy. objectives beside the
    standard ones, and constraints: lines of `aims.parse`. uniform: each field gives its share (equal ones, or
    `shares`) of an even dose by itself. time: worth of the whole delivery time, as a multiple of the
    objectives' value; timing: None: the machine's usual. least_mu: of a spot, where more than the machine's.
    start: beams of an earlier plan. memory: bytes for all matrices; None: what is free, 6 GiB at most.
    device: cpu, cuda or auto, for the dose of a proton plan's beams; the optimiser works on the cores.
    outside: refuse or clamp CT values in the body beyond the table.
    """

    margin: float = 3.0
    dose_spacing: float = 3.0
    layout: LayoutOptions | None = None
    robust: Robustness | None = None
    model: str = ""
    tissues: Mapping[str, str | float] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    uniform: bool = False
    shares: tuple[float, ...] | None = None
    reduction: Reduction | None = None
    time: float = 0.0
    timing: Timing | None = None
    least_mu: float = 0.0
    start: tuple[IonBeam, ...] = ()
    memory: int | None = None
    device: str = "cpu"
    outside: str = "refuse"

    def __post_init__(self) -> None:
        if not 0.0 <= self.time <= 10.0 or not self.least_mu >= 0.0:
            raise BadInput(_("the worth of delivery time is 0 to 10, the least meterset 0 MU or more"))
        if not 0.0 <= self.margin <= 50.0 or not 0.5 <= self.dose_spacing <= 20.0:
            raise BadInput(_("allowed are margins of 0 to 50 mm and dose voxels of 0.5 to 20 mm"))
        for text in (*self.objectives, *self.constraints):
            parse(text)
        if self.shares is not None and not self.uniform:
            raise BadInput(_("shares of fields belong to single-field uniform dose: ask for it too"))


@dataclass(frozen=True)
class Reached:
    """What became of an objective or constraint, on the dose that is shown, in the worst scenario.

    wanted, reached: Gy over all fractions, or keV/um. kept: within the tolerance of a constraint. price: of
    a constraint that is kept: how much the objectives would fall for each unit of one fraction more.
    """

    text: str
    hard: bool
    wanted: float
    reached: float
    kept: bool
    price: float = 0.0


@dataclass(frozen=True)
class PlanResult:
    """A plan with the dose of exactly the metersets in its beams; arrays (nz, ny, nx) f4 on `grid`.

    dose: RBE-weighted Gy of one fraction, by `model`. beam_doses: what each beam has of it; where the RBE is
    not constant, by its part of the physical dose. physical: Gy. let: dose-averaged, keV/um, where it was
    needed. regions: masks on `grid`: the target, the organs and "PTV" (the expanded target); fractions: parts
    of voxels inside what is drawn, for histograms. optimiser: objective values after each iteration.
    scenarios: histograms by scenario and region of a robust plan. goals: what became of objectives and
    constraints. time: s, estimated. species: PROTON, or ION.
    """

    beams: tuple[IonBeam, ...]
    grid: Grid
    dose: NDArray[np.float32] = field(repr=False)
    beam_doses: tuple[NDArray[np.float32], ...] = field(repr=False)
    regions: dict[str, NDArray[np.bool_]] = field(repr=False)
    body: NDArray[np.bool_] = field(repr=False)
    warnings: tuple[str, ...]
    optimiser: tuple[float, ...] = field(repr=False)
    converged: bool = True
    scenarios: Mapping[str, Mapping[str, Dvh]] = field(default_factory=dict, repr=False)
    physical: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, "f4"), repr=False)
    let: NDArray[np.float32] | None = field(default=None, repr=False)
    fractions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    model: str = "constant 1.1"
    goals: tuple[Reached, ...] = ()
    time: DeliveryTime = field(default_factory=lambda: DeliveryTime(0.0, 0.0, 0.0, 0.0))
    species: str = "PROTON"

    @property
    def inside(self) -> dict[str, NDArray[np.floating] | NDArray[np.bool_]]:
        """Of every region the parts of voxels inside it, the mask for those that are not drawn."""
        return {name: self.fractions.get(name, mask) for name, mask in self.regions.items()}

    @property
    def spots(self) -> int:
        """Number of spots in all beams."""
        return sum(beam.spot_count for beam in self.beams)

    @property
    def layers(self) -> int:
        """Number of energy layers in all beams."""
        return sum(len(beam.layers) for beam in self.beams)
