"""The TG119 case that the peer computed, read for our engines: its spots, grid, stopping power and voxels."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tps_engine.beamdata.importers import matrad
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.dose import engine
from tps_engine.dose import spots as proton_spots
from tps_engine.dose.engine import Influence
from tps_engine.dose.field import prepare
from tps_engine.dose.ions import engine as ions
from tps_engine.dose.ions import spots as ion_spots
from tps_engine.optimise.objectives import Objective, Overdose, Underdose
from tps_engine.patient.grid import Floats, Grid
from tps_engine.plan.geometry import BeamFrame, beam_frame

DATA = Path(__file__).parents[2] / "shared" / "data" / "phantoms_basedata_matrad"
MACHINES = {"proton": "protons_Generic.mat", "carbon": "carbon_Generic.mat"}


@dataclass(frozen=True)
class Case:
    """power: (nz, ny, nx) f4 relative stopping power on `grid`. voxels: (n,) flat indices that get dose.

    fields: for each beam its frame, energies (MeV per nucleon) and positions (m, 2) on the isocentric plane.
    """

    grid: Grid
    power: NDArray[np.float32]
    voxels: NDArray[np.int64]
    fields: tuple[tuple[BeamFrame, Floats, Floats], ...]
    peer: dict[str, NDArray[Any]]

    @property
    def points(self) -> Floats:
        """(n, 3) patient mm of the voxels."""
        return self.grid.points(self.voxels)


def read(path: Path) -> Case:
    """The case as peers/pyradplan_case.py wrote it."""
    peer = dict(np.load(path))
    origin, spacing, counts = peer["grid"].reshape(3, 3)
    nx, ny, nz = (int(count) for count in counts)
    grid = Grid(tuple(origin.tolist()), tuple(spacing.tolist()), (nz, ny, nx))
    fields = []
    for number, gantry in enumerate(peer["gantry"].tolist()):
        isocentre, sad = peer["isocentre"][number], float(peer["sad"][number])
        frame = beam_frame(gantry, 0.0, tuple(isocentre.tolist()), (sad, sad))
        mine = peer["spots"][peer["spots"][:, 0] == number]
        places = frame.project(mine[:, 1:4] + isocentre)
        fields.append((frame, mine[:, 4], np.ascontiguousarray(places[:, :2])))
    return Case(grid, peer["power"], peer["voxels"].astype(np.int64), tuple(fields), peer)


def machine(ion: str) -> IonMachine:
    """The peer's base data, with the lateral Gaussians that it takes by default."""
    return matrad.read(DATA / MACHINES[ion], lateral="single")


def matrices(case: Case, tables: IonMachine, biology: bool) -> list[ions.IonInfluence]:
    """Influence of each field, from the case's stopping power to the filled matrices."""
    points = case.points
    tissue = np.zeros(len(points), dtype=np.int8) if biology else None
    found = []
    for frame, energy, places in case.fields:
        some = ion_spots.nominal(tables, energy, places[:, 0], places[:, 1])
        voxels = ion_spots.field_of(tables, case.power, case.grid, frame, points, some)
        found.append(ions.influence(voxels, tables, some, tissue))
    return found


def joined(parts: list[Influence]) -> Influence:
    """The columns of all parts in order; each part leaves the list when it is copied, so that it is freed."""
    voxels = parts[0].voxels
    ends = np.cumsum([0, *(part.indptr[-1] for part in parts)])
    indptr = [np.zeros(1, dtype=np.int64)]
    indices, data = np.empty(ends[-1], dtype=np.int32), np.empty(ends[-1], dtype=np.float32)
    for first, behind in pairwise(ends.tolist()):
        part = parts.pop(0)
        indptr.append(part.indptr[1:] + first)
        indices[first:behind], data[first:behind] = part.indices, part.data
        del part
    return Influence(voxels, np.concatenate(indptr), indices, data)


def generic(case: Case) -> Influence:
    """The same spots by the engine of the proton machines, with the nearest of proton-generic's energies."""
    from tps_engine.beamdata import model  # noqa: PLC0415

    beam = model.load("proton-generic")
    parts = []
    for frame, energy, places in case.fields:
        nearest = beam.energies[np.abs(beam.energies[None, :] - energy[:, None]).argmin(axis=1)]
        voxels = prepare(
            case.power, case.grid, BeamFrame(frame.rotation, frame.isocentre, beam.virtual_sad), case.points
        )
        some = proton_spots.nominal(beam, nearest, places[:, 0], places[:, 1])
        parts.append(engine.influence(voxels, beam, some))
    return engine.side_by_side(parts)


def cube(case: Case, sums: Floats) -> NDArray[np.float64]:
    """(nz, ny, nx) dose from values at the case's voxels."""
    out = np.zeros(case.grid.size)
    out[case.voxels] = sums
    return out.reshape(case.grid.shape)


def peer_matrix(case: Case, path: Path) -> Influence:
    """The peer's own matrix, on the case's voxels."""
    with np.load(path.with_suffix(".matrix.npz")) as kept:
        rows = np.searchsorted(case.voxels, kept["indices"]).astype(np.int32)
        return Influence(len(case.voxels), kept["indptr"].astype(np.int64), rows, kept["data"])


def peer_objectives(case: Case) -> tuple[Objective, ...]:
    """The peer's objectives in ours: a squared deviation is under- and overdose of one level."""
    made: list[Objective] = []
    number = 0
    while f"objective{number}" in case.peer:
        voxels = np.searchsorted(case.voxels, case.peer[f"objective{number}"])
        said = json.loads(str(case.peer[f"objective{number}_is"]))
        level, weight = said["level"], said["weight"]
        if said["kind"] in ("SquaredDeviation", "SquaredUnderdosing"):
            made.append(Underdose(voxels, level, weight))
        if said["kind"] in ("SquaredDeviation", "SquaredOverdosing"):
            made.append(Overdose(voxels, level, weight))
        number += 1
    return tuple(made)
