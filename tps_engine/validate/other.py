"""Both engines against an independent Monte Carlo that is run now: one narrow field in water and slabs."""

from dataclasses import replace
from functools import partial

import numpy as np

from common.text import _
from tps_engine.dose import spots
from tps_engine.validate import doses
from tps_engine.validate.case import Case, NotRun, OtherMonteCarlo, Outcome, Setup, within
from tps_engine.validate.phantoms import Phantom, beam, build, cube, layer, machine_energy
from tps_engine.validate.pictures import differences
from tps_engine.validate.ranges import water_from

_MEV = 130.0
_STEP = 2.0
_SIGMA_MM = 6.0
_FIRST, _LAST = 30.0, 50.0
_PROTONS, _BATCHES = 1_400_000, 10  # and the mean of eight images
_RATE = 98.0


def cases() -> list[Case]:
    """Water and slabs."""
    told = _("MCsquare, run now")
    group = _("another Monte Carlo")
    return [
        Case(f"mcsquare-{name}", group, _("one beam in {what}").format(what=name), "mc, pb", told,
             partial(compared, name), quick=False)
        for name in ("water", "cortical-bone", "lung")
    ]  # fmt: skip


def compared(name: str, setup: Setup) -> Outcome:
    """Absolute dose per proton: Monte Carlo 1 %/1 mm, pencil beam 2 %/2 mm, threshold 10 %."""
    if setup.other is None:
        raise NotRun(_("no MCsquare program; see benchmarks/peers/setup.sh, or give --mcsquare"))
    energy = machine_energy(setup.model, _MEV)
    none = 0.0 * setup.model.divergence
    model = replace(
        setup.model, spread=0.0 * setup.model.spread, divergence=none, covariance=none,
        sigma=none + _SIGMA_MM, virtual_sad=(1e6, 1e6),
        water=water_from(setup.file("mcsquare_bdl", "Materials", "Water", "G4_Stop_Pow.dat")),
    )  # fmt: skip
    boxes = [] if name == "water" else [layer(name, _FIRST, _LAST)]
    deep = float(model.water.range_of(energy)) + 25.0
    phantom = build(cube(_STEP, 54.0, _STEP * np.ceil(deep / _STEP)), boxes)
    planned = beam(model, energy)
    placed, mu = spots.of_beam(planned, model)
    reference = _in_batches(setup.other, phantom, energy, float(spots.protons(model, placed, mu).sum()))
    noise = doses.noise_check(reference, setup.noise)
    checks, pictures = [replace(noise, reference=setup.other.name)], []
    for engine, limit in (("mc", 1.0), ("pb", 2.0)):
        ours = (
            doses.symmetric_monte_carlo(phantom, planned, model, setup.noise, "square")
            if engine == "mc"
            else doses.pencil_means(phantom, planned, model)
        )
        if engine == "mc":
            checks.append(doses.noise_check(ours, setup.noise))
        found = doses.compare(reference, ours, limit, limit)
        checks.append(doses.gamma_check(found, _RATE, f"{engine}, {setup.other.name}"))
        high = reference.dose > 0.5 * reference.dose.max()
        ratio = float(ours.dose[high].sum(dtype=np.float64) / reference.dose[high].sum(dtype=np.float64))
        what = _("{engine}: mean dose above half maximum").format(engine=engine)
        checks.append(within(what, 100.0 * (ratio - 1.0), 2.0, "%"))
        pictures.append(differences(engine, phantom.grid, (reference.dose, ours.dose), ("MCsquare", engine)))
    note = _("{count} protons of MCsquare; densities give our stopping powers relative to water at 100 MeV")
    table = _(
        "both with the stopping power of Geant4 for water; its path lengths less the detour of scattering"
    )
    return Outcome(tuple(checks), tuple(pictures), (note.format(count=_PROTONS), table))


def _in_batches(other: OtherMonteCarlo, phantom: Phantom, energy: float, protons: float) -> doses.Scored:
    """The other code's dose of a number of protons, with the noise that batches of other seeds tell of."""
    parts = np.stack(
        [other.dose(phantom.medium, energy, _SIGMA_MM, _PROTONS // _BATCHES, 20 + k) for k in range(_BATCHES)]
    ).astype(np.float64)
    sigma = parts.std(axis=0, ddof=1) / np.sqrt(_BATCHES)
    return doses.symmetric(phantom.grid, protons * parts.mean(axis=0), protons * sigma, "square")
