"""Does a delivered fraction agree with its plan? Gamma, spot positions and metersets, each with its rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.text import _
from tps_engine.evaluate.centroids import BeamCentroids, mean_mm
from tps_engine.evaluate.gamma import GammaResult
from tps_engine.evaluate.meterset import BeamMeterset


@dataclass(frozen=True)
class Tolerances:
    """What a fraction must meet. Shares are relative (0.001 is 0.1 %), the pass rate is in percent."""

    gamma_pass_rate: float = 99.0
    position_absolute_mm: float = 2.0
    position_relative_mm: float = 1.0
    beam_mu_relative: float = 0.001
    spot_mu_relative: float = 0.005

    @classmethod
    def of_site(cls, monitor: Mapping[str, Any]) -> "Tolerances":
        """The tolerances that a site file declares in `monitor.tolerance`; the rest as above."""
        known = {name for name in cls.__dataclass_fields__ if name in monitor.get("tolerance", {})}
        return cls(**{name: float(monitor["tolerance"][name]) for name in known})


@dataclass(frozen=True)
class Verdict:
    """`passed` when no rule failed; each failure is a sentence with the number and what is allowed."""

    passed: bool
    failures: tuple[str, ...]


def judge(
    gamma: GammaResult,
    centroids: Sequence[BeamCentroids],
    metersets: Sequence[BeamMeterset],
    tolerances: Tolerances | None = None,
) -> Verdict:
    """Apply every rule; the failures come in the order gamma, positions, metersets."""
    allowed = tolerances or Tolerances()
    failures = [
        *_judge_gamma(gamma, allowed),
        *(text for beam in centroids for text in _judge_centroids(beam, allowed)),
        *(text for beam in metersets for text in _judge_meterset(beam, allowed)),
    ]
    return Verdict(not failures, tuple(failures))


def _judge_gamma(gamma: GammaResult, allowed: Tolerances) -> list[str]:
    if gamma.pass_rate >= allowed.gamma_pass_rate:
        return []
    text = _("gamma pass rate {rate:.2f} %, at least {limit:.1f} % is required")
    return [text.format(rate=gamma.pass_rate, limit=allowed.gamma_pass_rate)]


def _judge_centroids(beam: BeamCentroids, allowed: Tolerances) -> list[str]:
    failures = []
    if beam.max_mm > allowed.position_absolute_mm:
        text = _("beam {number}: a spot lies {value:.2f} mm off its place, {limit:.1f} mm is allowed")
        failures.append(
            text.format(number=beam.number, value=beam.max_mm, limit=allowed.position_absolute_mm)
        )
    if beam.max_relative_mm > allowed.position_relative_mm:
        text = _("beam {number}: a spot lies {value:.2f} mm off within its layer, {limit:.1f} mm is allowed")
        failures.append(
            text.format(number=beam.number, value=beam.max_relative_mm, limit=allowed.position_relative_mm)
        )
    return failures


def _judge_meterset(beam: BeamMeterset, allowed: Tolerances) -> list[str]:
    failures = []
    if beam.missing_layers:
        text = _("beam {number}: no beam was delivered at {energies} MeV")
        energies = ", ".join(f"{energy:.2f}" for energy in beam.missing_layers)
        failures.append(text.format(number=beam.number, energies=energies))
    if not abs(beam.beam_relative) <= allowed.beam_mu_relative:
        text = _("beam {number}: meterset {value:+.3f} %, {limit:.2f} % is allowed")
        failures.append(
            text.format(
                number=beam.number, value=100 * beam.beam_relative, limit=100 * allowed.beam_mu_relative
            )
        )
    if beam.wrong.any():
        text = _("beam {number}: {count} spots miss their meterset by more than {limit:.1f} % and one count")
        failures.append(
            text.format(number=beam.number, count=int(beam.wrong.sum()), limit=100 * allowed.spot_mu_relative)
        )
    return failures


def summary(
    gamma: GammaResult, centroids: Sequence[BeamCentroids], metersets: Sequence[BeamMeterset]
) -> dict[str, Any]:
    """The numbers behind a verdict, as JSON: keys `gamma`, `centroid`, `meterset` of the service's result."""
    return {
        "gamma": {
            "pass_rate": gamma.pass_rate,
            "dose_percent": gamma.criteria.dose_percent,
            "distance_mm": gamma.criteria.distance_mm,
            "threshold_percent": gamma.criteria.threshold_percent,
            "points": gamma.points,
        },
        "centroid": {
            "max_mm": max((beam.max_mm for beam in centroids), default=0.0),
            "mean_mm": mean_mm(centroids),
            "max_relative_mm": max((beam.max_relative_mm for beam in centroids), default=0.0),
        },
        "meterset": {
            "max_relative_spot": max((beam.max_relative for beam in metersets), default=0.0),
            "relative_beam": {str(beam.number): beam.beam_relative for beam in metersets},
            "missing_layers": {str(b.number): list(b.missing_layers) for b in metersets if b.missing_layers},
        },
    }
