"""Tables that the ion kernel reads: every quantity of an energy side by side, on equal steps of depth."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.bragg import GY_MM2_PER_MEV_CM2_G
from tps_engine.beamdata.ion_machine import DepthCurve, IonMachine
from tps_engine.beamdata.water import Floats

STEP_MM = 0.1
"""Spacing of depth, mm of water."""

CUTOFF = 0.995
"""Part of the dose of a plane that is kept; what lies farther out is put back inside."""

FIXED = 2
"""Columns before those of the Gaussians: dose, squared cut-off radius."""

_HALVINGS = 40


@dataclass(frozen=True)
class KernelTables:
    """table (e, k, c) f4, one row an energy used, one column a quantity, k depths of STEP_MM.

    Columns: dose Gy mm2 per particle, cut-off radius squared mm2, g variances mm2, g weights, LET keV/um if
    let >= 0 (its column), and from `biology` (-1: none) alpha 1/Gy and sqrt(beta) 1/Gy of each tissue.
    reach: (e,) f4 last depth, mm.
    """

    table: NDArray[np.float32] = field(repr=False)
    reach: NDArray[np.float32] = field(repr=False)
    gaussians: int
    let: int
    biology: int


def build(
    machine: IonMachine, rows: NDArray[np.int64], variance: Floats, let: bool, biology: bool, cutoff: float
) -> KernelTables:
    """Tables of the energies of `rows`. variance: (e,) mm2, the widest beam of each energy in air.

    Raises BadInput when the machine lacks LET or biology that is wanted, or for a cut-off not within 0.5..1.
    """
    if not 0.5 <= cutoff < 1.0:
        raise BadInput(_("lateral cut-off {value}: allowed is 0.5 up to below 1").format(value=cutoff))
    if let and not machine.has_let:
        raise BadInput(_("machine {name} has no table of LET").format(name=machine.name))
    if biology and not machine.tissues:
        raise BadInput(
            _("machine {name} has no tables of alpha and beta; choose a biological model").format(
                name=machine.name
            )
        )
    curves = [machine.curves[row] for row in rows]
    offsets = machine.offset[rows]
    gaussians = max(curve.sigma.shape[1] for curve in curves)
    ends = np.array([curve.depth[-1] for curve in curves]) + offsets
    depth = STEP_MM * np.arange(int(np.ceil(ends.max() / STEP_MM)) + 2)
    columns = FIXED + 2 * gaussians + int(let) + 2 * len(machine.tissues) * int(biology)
    table = np.zeros((len(curves), len(depth), columns), dtype=np.float32)
    for number, curve in enumerate(curves):
        nodes = _nodes(curve, float(variance[number]), gaussians, let, biology, cutoff)
        for column in range(columns):
            table[number, :, column] = np.interp(depth - offsets[number], curve.depth, nodes[:, column])
    let_column = FIXED + 2 * gaussians if let else -1
    first = FIXED + 2 * gaussians + int(let) if biology else -1
    return KernelTables(table, ends.astype(np.float32), gaussians, let_column, first)


def _nodes(
    curve: DepthCurve, variance: float, gaussians: int, let: bool, biology: bool, cutoff: float
) -> Floats:
    """(n, c) the columns of one energy at its own depths."""
    spread, weight = curve.sigma**2, curve.weight
    if gaussians > spread.shape[1]:
        missing = ((0, 0), (0, gaussians - spread.shape[1]))
        spread, weight = np.pad(spread, missing), np.pad(weight, missing)
    radius2 = cut_radius2(spread + variance, weight, cutoff)
    dose = curve.dose * GY_MM2_PER_MEV_CM2_G / cutoff
    parts = [dose[:, None], radius2[:, None], spread, weight]
    if let and curve.let is not None:
        parts.append(curve.let[:, None])
    if biology and curve.alpha is not None and curve.beta is not None:
        both = np.stack([curve.alpha, np.sqrt(curve.beta)], axis=2)
        parts.append(both.reshape(len(curve.depth), -1))
    return np.hstack(parts)


def cut_radius2(variance: Floats, weight: Floats, part: float) -> Floats:
    """(n,) squared radius in mm2 within which round Gaussians (n, g) hold `part` of their sum."""
    high = -2.0 * np.log1p(-part) * variance.max(axis=1)
    if variance.shape[1] == 1:
        return np.asarray(high)
    low = np.zeros_like(high)
    for _step in range(_HALVINGS):
        middle = 0.5 * (low + high)
        outside = (weight * np.exp(-0.5 * middle[:, None] / variance)).sum(axis=1)
        far = outside < 1.0 - part
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return np.asarray(0.5 * (low + high))
