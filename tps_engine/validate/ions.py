"""Ranges of carbon and helium machines against the range of protons, scaled by charge and mass.

matRad's tables start behind the beam line: an energy is that of the initial beam, and of the line's passive
elements its documentation says that `offset` holds those which the tables do not; it is 0. How much matter
the tables have passed is stated nowhere. It is one water-equivalent thickness for all energies of a machine:
it is found from them and bounded, and every energy must have its own range with it. The ranges as they are,
without that thickness, are held too.
"""

from functools import partial

import numpy as np

from common.text import _
from tps_engine.beamdata import bragg
from tps_engine.beamdata.importers import matrad
from tps_engine.beamdata.water import water
from tps_engine.validate.case import Case, Check, Outcome, Setup, within
from tps_engine.validate.pictures import Curve, curves

NUCLEI = {"carbon": (6, 12.0 * 931.49410 - 6.0 * 0.51100, 12), "helium": (2, 3727.37941, 4)}
"""Charge, rest mass in MeV and mass number."""

_PROTON_MASS = 938.27209
_TOLERANCE_PERCENT = 1.5
_TOLERANCE_MM = 0.3
_MOST_UPSTREAM_MM = 4.0  # 2 m of air (2.2 mm), windows and monitors
_LOWEST, _HIGHEST = 70.0, 295.0  # MeV per nucleon: steps of the tables; the end of the proton table


def cases() -> list[Case]:
    """One case an ion."""
    told = _("PSTAR's proton range of equal velocity, times mass over charge squared")
    return [
        Case(f"range-{name}", _("ions"), _("R80 of the machine's energies in water"), "pb ions", told,
             partial(ranges, name))
        for name in NUCLEI
    ]  # fmt: skip


def scaled_range(ion: str, energy: float) -> float:
    """CSDA range in mm of water of an ion of `energy` MeV per nucleon: R = (M / m_p) / Z^2 R_p(E m_p / M).

    At equal velocity stopping power goes as the charge squared (Bethe; ICRU 49, ICRU 73); electrons picked
    up in the last fraction of a mm are neglected.
    """
    charge, mass, nucleons = NUCLEI[ion]
    ratio = mass / _PROTON_MASS
    return float(ratio / charge**2 * water().range_of(energy * nucleons / ratio))


def ranges(ion: str, setup: Setup) -> Outcome:
    """R80 of the depth dose tables, offsets included."""
    path = setup.file("phantoms_basedata_matrad", f"{ion}_Generic.mat")
    machine = matrad.read(path)
    spaced = np.unique(np.linspace(0, len(machine.energies) - 1, 7).astype(int))
    rows = [int(k) for k in spaced if _LOWEST <= machine.energies[k] <= _HIGHEST]
    short, lines = [], []
    for row in rows:
        energy, curve = float(machine.energies[row]), machine.curves[row]
        fine = np.arange(curve.depth[0], curve.depth[-1], 0.05)
        dose = np.interp(fine, curve.depth, curve.dose)
        found = bragg.distal_depth(fine, dose, 0.8) + float(machine.offset[row])
        short.append(scaled_range(ion, energy) - found)
        lines.append(Curve(f"{energy:.0f} MeV/u", fine, dose / dose.max()))
    upstream = float(np.mean(short))
    what = _("water equivalent of what the tables have passed, one for all energies")
    checks = [Check(what, upstream, "mm", 0.0, _MOST_UPSTREAM_MM, _("air, windows and monitors"))]
    for row, missing in zip(rows, short, strict=True):
        energy = float(machine.energies[row])
        whole = scaled_range(ion, energy)
        told = _("{range} mm, nothing upstream").format(range=f"{whole:.1f}")
        what = _("range, {energy} MeV/u").format(energy=f"{energy:.1f}")
        checks.append(within(what, -100.0 * missing / whole, _TOLERANCE_PERCENT, "%", told))
        told = f"{whole - upstream:.1f} mm"
        checks.append(within(f"R80, {energy:.1f} MeV/u", upstream - missing, _TOLERANCE_MM, "mm", told))
    picture = curves(_("depth doses"), (_("depth (mm)"), _("dose (relative)")), lines)
    note = _("machine {name} {version}, tables of {source}")
    return Outcome(
        tuple(checks), (picture,),
        (note.format(name=machine.name, version=machine.version, source=machine.source),),
    )  # fmt: skip
