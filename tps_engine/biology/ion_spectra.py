"""What stands for the spectra of an ion beam in water, where public base data has none: two kinds of ions.

Primaries lose energy as in the continuous slowing-down approximation, with a Gaussian spread of range, and
are lost exponentially with depth. The rest of the tabulated depth dose is given to fragments, taken as one
lighter ion of the primaries' velocity, and behind their range of a fixed energy. Approximated: the several
kinds of fragments and their spread of velocity.
"""

from dataclasses import dataclass, field

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.bragg import distal_depth
from tps_engine.beamdata.ion_machine import IONS, IonMachine
from tps_engine.beamdata.ion_water import energy_of, let_of
from tps_engine.beamdata.water import Floats
from tps_engine.biology.mkm_set import Fragmentation

_SPREADS = np.linspace(-3.0, 3.0, 61)
_FALL_SIGMAS = 1.3
"""Distance from 80 to 20 % behind a Bragg peak in widths of the range; the range itself lies at 80 %
(Bortfeld, Med Phys 24 (1997) 2024)."""


@dataclass(frozen=True)
class TwoParts:
    """At depths (n,) mm: share of the dose that primaries give; (m,) weights of residual ranges.

    energy: (n, m) MeV per nucleon of primaries. dose_weight: (n, m) their part of the primaries' dose,
    summing to 1. fragment: (n,) MeV per nucleon.
    """

    share: Floats
    energy: Floats = field(repr=False)
    dose_weight: Floats = field(repr=False)
    fragment: Floats = field(repr=False)


def two_parts(machine: IonMachine, row: int, loss: Fragmentation) -> TwoParts:
    """Primaries and fragments of the energy of a row, at the depths of its curve."""
    curve = machine.curves[row]
    charge, mass = machine.charge, machine.mass_number
    fall = distal_depth(curve.depth, curve.dose, 0.2) - distal_depth(curve.depth, curve.dose, 0.8)
    sigma = max(fall / _FALL_SIGMAS, 0.05)
    end = distal_depth(curve.depth, curve.dose, 0.8)
    residual = end + sigma * _SPREADS[None, :] - curve.depth[:, None]
    there = residual > 0.0
    energy = energy_of(charge, mass, np.maximum(residual, 1e-3))
    let = np.where(there, let_of(charge, energy), 0.0) * np.exp(-0.5 * _SPREADS**2)[None, :]
    total = let.sum(axis=1, keepdims=True)
    weight = np.divide(let, total, out=np.zeros_like(let), where=total > 0.0)
    # keV/um is 10 MeV cm2/g in water
    primary = (
        10.0 * total[:, 0] / np.exp(-0.5 * _SPREADS**2).sum() * np.exp(-curve.depth / loss.mean_free_path)
    )
    share = np.divide(primary, curve.dose, out=np.zeros_like(primary), where=curve.dose > 0.0)
    mean = energy_of(charge, mass, np.maximum(end - curve.depth, 1e-3))
    return TwoParts(np.clip(share, 0.0, 1.0), energy, weight, np.maximum(mean, loss.lowest))


def mean_let(machine: IonMachine, row: int, loss: Fragmentation) -> Floats:
    """(n,) dose-averaged LET in keV/um at the depths of a curve, by the two parts."""
    parts = two_parts(machine, row, loss)
    primary = (let_of(machine.charge, parts.energy) * parts.dose_weight).sum(axis=1)
    other = let_of(IONS[loss.fragment][0], parts.fragment)
    return np.asarray(parts.share * primary + (1.0 - parts.share) * other)


def loss_of(machine: IonMachine, losses: dict[str, Fragmentation]) -> Fragmentation:
    """The fragmentation of a machine's ion. Raises BadInput naming the ions there are."""
    if machine.ion not in losses:
        raise BadInput(
            _("no fragmentation of {ion} in this parameter set: it has {known}").format(
                ion=machine.ion, known=", ".join(losses) or "-"
            )
        )
    return losses[machine.ion]
