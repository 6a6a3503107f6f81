"""What a plan is asked for as a file: `config/schema/plan_request.schema.json`, read and made ready.

Paths in a file are taken from the folder that it lies in.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.dicom import files, ion_plan
from common.dicom.ct import read_series
from common.errors import BadInput
from common.site import load_checked
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.device import choice
from tps_engine.patient.grid import Grid
from tps_engine.plan.ion_radiation import Ions
from tps_engine.plan.layout import LayoutOptions
from tps_engine.plan.request import Displacement, Phase, PlanOptions, Reduction, Robustness
from tps_engine.scripting.case import Case, machine_of
from tps_engine.scripting.plan import Plan

SCHEMA = "plan_request"


def read(path: Path) -> dict[str, Any]:
    """The content of a file. Raises BadConfig with line and reason."""
    found: dict[str, Any] = load_checked(path, SCHEMA)
    return found


def make(
    folder: Path, asked: Mapping[str, Any], place: Path, start: Path | None = None, device: str = "cpu"
) -> Plan:
    """The plan of a request on the CT and structure set of a folder.

    place: where the request's paths begin; start: an earlier RT Ion Plan to begin from; device: as
    `PlanOptions` has it. Raises BadInput as `Case.plan`, and for what the request says before the images are
    read.
    """
    choice.chosen(device)
    chosen = replace(options(asked, place, start), device=device)
    case = Case.read(folder)
    fields = {
        name: (float(one["gantry"]), float(one.get("couch", 0.0))) for name, one in asked["fields"].items()
    }
    kept = {name: asked[name] for name in ("machine", "organs", "calibration") if name in asked}
    return case.plan(
        asked["target"],
        dose=float(asked["dose"]),
        fractions=int(asked.get("fractions", 1)),
        fields=fields,
        options=chosen,
        **kept,
    )


def options(asked: Mapping[str, Any], place: Path, start: Path | None = None) -> PlanOptions:
    """The options of a request; arguments as `make`."""
    shares = [one["share"] for one in asked["fields"].values() if "share" in one]
    if shares and len(shares) != len(asked["fields"]):
        raise BadInput(_("give every field a share of the dose, or none"))
    return PlanOptions(
        margin=float(asked.get("margin", 3.0)),
        dose_spacing=float(asked.get("spacing", 3.0)),
        layout=_layout(asked),
        robust=_robust(asked["robust"], place) if "robust" in asked else None,
        model=asked.get("model", ""),
        tissues=asked.get("tissues", {}),
        objectives=tuple(asked.get("objectives", ())),
        constraints=tuple(asked.get("constraints", ())),
        uniform=asked.get("uniform", False),
        shares=tuple(map(float, shares)) or None,
        reduction=Reduction(**asked["reduce"]) if asked.get("reduce") else None,
        time=float(asked.get("time", 0.0)),
        least_mu=float(asked.get("least_mu", 0.0)),
        outside=asked.get("outside", "refuse"),
        start=() if start is None else ion_plan.from_dataset(files.read_file(start)).beams,
    )


def _layout(asked: Mapping[str, Any]) -> LayoutOptions | None:
    """The machine's own spacing with what is asked for in its place."""
    if not asked.get("spots"):
        return None
    machine = machine_of(asked.get("machine", "proton-generic"))
    usual = Ions(machine).layout if isinstance(machine, IonMachine) else LayoutOptions()
    return replace(usual, **asked["spots"])


def _robust(asked: Mapping[str, Any], place: Path) -> Robustness:
    phases = tuple(_phase(name, one, place) for name, one in asked.get("phases", {}).items())
    return Robustness(
        shift=float(asked.get("shift", 0.0)),
        range_percent=float(asked.get("range", 0.0)),
        aim=asked.get("aim", "worst"),
        phases=phases,
        accumulate=asked.get("accumulate", False),
    )


def _phase(name: str, asked: Mapping[str, Any], place: Path) -> Phase:
    ct = read_series(files.read_folder(place / asked["ct"]))
    if "displacement" in asked:
        return Phase(name, ct, displacement(place / asked["displacement"]))
    x, y, z = (float(value) for value in asked.get("shift", (0.0, 0.0, 0.0)))
    return Phase(name, ct, (x, y, z))


def displacement(path: Path) -> Displacement:
    """Vectors from a .npz of vectors (nz, ny, nx, 3) mm, origin and spacing (x, y, z) mm. Raises BadInput."""
    try:
        with np.load(path, allow_pickle=False) as found:
            vectors = found["vectors"].astype(np.float32)
            origin, spacing = (tuple(map(float, found[key])) for key in ("origin", "spacing"))
        x, y, z = origin
        nz, ny, nx = vectors.shape[:3]
        a, b, c = spacing
    except (OSError, KeyError, ValueError) as why:
        raise BadInput(
            _("{path}: displacements are a .npz with vectors (nz, ny, nx, 3), origin and spacing").format(
                path=path
            )
        ) from why
    return Displacement(Grid((x, y, z), (a, b, c), (nz, ny, nx)), vectors)
