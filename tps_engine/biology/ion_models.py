"""Machines with the biology of a model: tables of alpha and beta over depth, from LET or from spectra."""

from dataclasses import replace

import numpy as np

from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IONS, IonMachine, Tissue
from tps_engine.beamdata.ion_water import let_of
from tps_engine.beamdata.water import Floats
from tps_engine.biology.ion_spectra import loss_of, mean_let, two_parts
from tps_engine.biology.mkm import MkmParameters, z_star
from tps_engine.biology.mkm_set import MkmSet
from tps_engine.biology.parameters import RbeModel
from tps_engine.biology.rbe import limits

_LET_AXIS = np.geomspace(0.3, 400.0, 400)
"""MeV per nucleon at which LET is turned back into energy."""


def with_proton_rbe(machine: IonMachine, model: RbeModel, tissues: tuple[Tissue, ...]) -> IonMachine:
    """A proton machine with alpha and beta of a model of LET: alpha_x RBE_max, beta_x RBE_min^2.

    Raises BadInput for another ion, a machine without LET, or no tissue.
    """
    if machine.ion != "proton" or not machine.has_let or not tissues:
        raise BadInput(
            _(
                "RBE models of protons need a proton machine with LET, and a tissue; {name} is for {ion}"
            ).format(name=machine.name, ion=machine.ion)
        )
    ratio = np.array([tissue.ratio for tissue in tissues])[None, :]
    alpha = np.array([tissue.alpha for tissue in tissues])[None, :]
    beta = np.array([tissue.beta for tissue in tissues])[None, :]
    tables = []
    for curve in machine.curves:
        assert curve.let is not None
        shape = (len(curve.depth), len(tissues))
        let = np.broadcast_to(curve.let[:, None], shape)
        highest, lowest = limits(model, let, np.broadcast_to(ratio, shape))
        tables.append((np.broadcast_to(alpha * highest, shape), np.broadcast_to(beta * lowest**2, shape)))
    return machine.with_biology(model.name, tissues, tables)


def with_mkm(machine: IonMachine, parameters: MkmSet, cells: tuple[str, ...] = ("HSG",)) -> IonMachine:
    """A machine with alpha and beta of the modified MKM for cell lines of a parameter set, one tissue each.

    Where the machine has LET, the field counts as the machine's ion of that LET everywhere; otherwise as
    primaries and one kind of fragment (`ion_spectra`). Raises BadInput for a cell line or ion not in the set.
    """
    lines = [parameters.cell(name) for name in cells]
    tables: list[tuple[Floats, Floats]] = []
    for row, curve in enumerate(machine.curves):
        alpha = [line.parameters.alpha(_field_z(machine, row, parameters, line.parameters)) for line in lines]
        beta = [np.full(len(curve.depth), line.parameters.beta) for line in lines]
        tables.append((np.column_stack(alpha), np.column_stack(beta)))
    name = f"modified MKM, {parameters.name} {parameters.version}"
    return machine.with_biology(name, tuple(line.photons for line in lines), tables)


def with_let(machine: IonMachine, parameters: MkmSet) -> IonMachine:
    """A machine with approximate dose-averaged LET where its base data has none; others are left as they are.

    Raises BadInput for an ion that the set has no fragmentation of.
    """
    if machine.has_let:
        return machine
    loss = loss_of(machine, dict(parameters.fragmentation))
    curves = [replace(curve, let=mean_let(machine, row, loss)) for row, curve in enumerate(machine.curves)]
    return replace(machine, curves=tuple(curves))


def _field_z(machine: IonMachine, row: int, parameters: MkmSet, cell: MkmParameters) -> Floats:
    """(n,) dose-averaged z* in Gy at the depths of a curve."""
    let = machine.curves[row].let
    if let is not None:
        return z_star(machine.charge, _energy_at(machine.charge, let), cell)
    loss = loss_of(machine, dict(parameters.fragmentation))
    parts = two_parts(machine, row, loss)
    primary = (z_star(machine.charge, parts.energy, cell) * parts.dose_weight).sum(axis=1)
    other = z_star(IONS[loss.fragment][0], parts.fragment, cell)
    return np.asarray(parts.share * primary + (1.0 - parts.share) * other)


def _energy_at(charge: int, let: Floats) -> Floats:
    """Energy in MeV per nucleon (n,) of ions of LET (n,) keV/um, above the LET's maximum."""
    values = let_of(charge, _LET_AXIS)
    top = int(np.argmax(values))
    return np.asarray(np.interp(-let, -values[top:], _LET_AXIS[top:]))
