"""What a plan is made from and what it consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.evaluate.dvh import Dvh
from tps_engine.patient.grid import Grid
from tps_engine.plan.layout import LayoutOptions

RBE_MODELS = {"constant 1.1": 1.1}
"""RBE models by the name that prescriptions and plans carry; 1.1 for protons as in ICRU Report 78."""

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and the name of the step."""


@dataclass(frozen=True)
class OrganLimit:
    """An organ to spare. max_gy: largest RBE-weighted dose in Gy over all fractions, or None."""

    name: str
    max_gy: float | None = None


@dataclass(frozen=True)
class Prescription:
    """RBE-weighted dose in Gy per fraction to a target, and the organs to spare."""

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
        if self.rbe_model not in RBE_MODELS:
            raise BadInput(
                _("RBE model {name}: allowed are {allowed}").format(
                    name=self.rbe_model, allowed=", ".join(RBE_MODELS)
                )
            )

    @property
    def rbe(self) -> float:
        """Factor from physical to RBE-weighted dose."""
        return RBE_MODELS[self.rbe_model]


@dataclass(frozen=True)
class FieldRequest:
    """One field: name and angles in degrees (IEC 61217)."""

    name: str
    gantry: float
    couch: float = 0.0


@dataclass(frozen=True)
class Robustness:
    """Errors that a plan must bear: set-up shifts in mm along three axes, range in percent, to and fro.

    aim: "worst" minimises the worst scenario, "expected" the mean of all, "voxel" the worst of each voxel.
    """

    shift: float = 3.0
    range_percent: float = 3.5
    aim: Literal["worst", "expected", "voxel"] = "worst"

    def wider(self, layout: LayoutOptions) -> LayoutOptions:
        """A layout whose spots reach the target in every scenario."""
        return replace(layout, beyond=self.shift, range_part=self.range_percent / 100.0)


@dataclass(frozen=True)
class PlanOptions:
    """Choices of the planner. margin: target to planning target, mm. dose_spacing: dose grid, mm.

    robust: then the objectives hold for the target itself in every scenario, instead of for the planning
    target in one.
    """

    margin: float = 3.0
    dose_spacing: float = 3.0
    layout: LayoutOptions = field(default_factory=LayoutOptions)
    robust: Robustness | None = None


@dataclass(frozen=True)
class PlanResult:
    """A plan with the dose of exactly the metersets in its beams.

    dose: (nz, ny, nx) f4 on `grid`, RBE-weighted Gy of one fraction; physical dose is dose / rbe.
    beam_doses: the same of each beam. regions: masks on `grid`: the target, the organs and
    "PTV" (the expanded target). optimiser: objective values after each iteration. scenarios: histograms by
    scenario and region of a robust plan, RBE-weighted Gy of one fraction.
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

    @property
    def spots(self) -> int:
        """Number of spots in all beams."""
        return sum(beam.spot_count for beam in self.beams)

    @property
    def layers(self) -> int:
        """Number of energy layers in all beams."""
        return sum(len(beam.layers) for beam in self.beams)
