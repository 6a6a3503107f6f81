"""What a fit finds: parameters with their uncertainty, residuals of every measurement, warnings."""

from dataclasses import dataclass, field
from typing import Any

from tps_engine.beamdata.bragg import DepthDoseParameters, HaloParameters
from tps_engine.beamdata.fit.measurements import Measurements
from tps_engine.beamdata.fit.predict import Moments
from tps_engine.beamdata.water import Floats


@dataclass(frozen=True)
class Residual:
    """A measurement against the fitted model. kind: depth dose, profile or absolute dose.

    x: (n,) mm. measured, fitted: (n,) relative to the largest reading. rms, worst: of their difference.
    """

    kind: str
    name: str
    energy: float
    x: Floats = field(repr=False)
    measured: Floats = field(repr=False)
    fitted: Floats = field(repr=False)
    rms: float
    worst: float
    limit: float

    @property
    def good(self) -> bool:
        """Whether the root mean square stays within the limit of its kind."""
        return self.rms <= self.limit


@dataclass(frozen=True)
class AxisOptics:
    """Optics of one axis of a spot; errors: (3,) one standard deviation of A, B and C."""

    moments: Moments
    errors: Floats = field(repr=False)


@dataclass(frozen=True)
class EnergyFit:
    """Parameters of one energy, each with one standard deviation.

    energy: nominal MeV. mean, spread: MeV. axes: x and y. protons: per MU.
    """

    energy: float
    mean: float
    mean_error: float
    spread: float
    spread_error: float
    axes: tuple[AxisOptics, AxisOptics]
    protons: float
    protons_error: float


@dataclass(frozen=True)
class Interpolation:
    """A smooth curve of one parameter over energy, and how far the fitted values lie from it.

    energy, values, smooth: (e,) at the measured energies. deviation: largest, in the unit of `limit`.
    good: no value lies off by more than the limit and three of its standard deviations.
    """

    name: str
    unit: str
    energy: Floats = field(repr=False)
    values: Floats = field(repr=False)
    smooth: Floats = field(repr=False)
    deviation: float
    limit: float
    good: bool


@dataclass(frozen=True)
class FitResult:
    """A fitted beam model. content: the beam-model file, format 2.

    common: fitted parameters of all energies, each with one standard deviation.
    """

    measurements: Measurements
    content: dict[str, Any] = field(repr=False)
    energies: tuple[EnergyFit, ...]
    depth_dose: DepthDoseParameters
    halo: HaloParameters | None
    common: dict[str, tuple[float, float]]
    residuals: tuple[Residual, ...] = field(repr=False)
    interpolations: tuple[Interpolation, ...] = field(repr=False)
    warnings: tuple[str, ...]
