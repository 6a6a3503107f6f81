"""Ion machines on disk: a YAML head and, beside it, its tables as NPZ, bound by their digest."""

import hashlib
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.errors import BadConfig, BadInput, Tampered
from common.files import write_atomic
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.beamdata.ion_machine import DepthCurve, IonMachine, Tissue
from tps_engine.beamdata.water import Floats

FORMAT = 1
_FOLDER = "ion_models"
_BY_ENERGY = ("energies", "particles_per_mu", "offset", "peak", "focus_distance", "focus_sigma")
_BY_DEPTH = ("depth", "dose", "sigma", "weight", "let", "alpha", "beta")


def save(machine: IonMachine, path: Path) -> None:
    """Write the head to `path` (.yaml) and the tables beside it (.npz), each atomically; float32 tables.

    Raises BadInput for another suffix; OSError.
    """
    if path.suffix != ".yaml":
        raise BadInput(_("{name}: an ion machine is a .yaml file; give such a name").format(name=path.name))
    tables = _packed(machine)
    data = path.with_suffix(".npz")
    head = _head(machine, data.name, hashlib.sha256(tables).hexdigest())
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    write_atomic(data, tables)
    write_atomic(path, text.encode())


def found(name_or_path: str | Path) -> bool:
    """Whether there is the head of a machine of tables by this name or path; a beam model has no tables."""
    path = _path(name_or_path)
    return path.is_file() and b"\ntables:" in path.read_bytes()


def _path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    return path if path.suffix == ".yaml" else CONFIG / _FOLDER / f"{name_or_path}.yaml"


def load(name_or_path: str | Path) -> IonMachine:
    """Read and check a machine: a name in `config/ion_models`, or the path of a head.

    Raises BadConfig for a head that does not fit its schema or tables that cannot be read or used, Tampered
    for tables that are not those of the head.
    """
    path = _path(name_or_path)
    head = load_checked(path, "ion_machine")
    data = path.parent / head["tables"]["file"]
    try:
        content = data.read_bytes()
    except OSError as why:
        raise BadConfig(
            _("{name}: its tables {data} cannot be read: {why}").format(
                name=path.name, data=data.name, why=why.strerror
            )
        ) from why
    if hashlib.sha256(content).hexdigest() != head["tables"]["sha256"]:
        raise Tampered(
            _("{data}: not the tables that {name} was written with; import the machine again").format(
                data=data.name, name=path.name
            )
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            arrays = {key: found[key].astype(np.float64) for key in found.files}
        return _machine(head, arrays)
    except (ValueError, KeyError, IndexError) as why:
        raise BadConfig(
            _("{data}: the tables are damaged; import the machine again").format(data=data.name)
        ) from why


def _head(machine: IonMachine, data: str, digest: str) -> dict[str, Any]:
    (x_low, x_high), (y_low, y_high) = machine.scan_limits
    return {
        "format": FORMAT,
        "name": machine.name,
        "version": machine.version,
        "ion": machine.ion,
        "source": machine.source,
        "licence": machine.licence,
        "virtual_sad_mm": [float(value) for value in machine.sad],
        "nozzle_mm": None if machine.nozzle is None else float(machine.nozzle),
        "scan_limits_mm": {"x": [x_low, x_high], "y": [y_low, y_high]},
        "minimum_mu": float(machine.minimum_mu),
        "maximum_mu": float(machine.maximum_mu),
        "biology": machine.biology,
        "tissues": [[float(tissue.alpha), float(tissue.beta)] for tissue in machine.tissues],
        "tables": {"file": data, "sha256": digest},
    }


def _packed(machine: IonMachine) -> bytes:
    arrays = {name: np.asarray(getattr(machine, name), dtype=np.float64) for name in _BY_ENERGY}
    lengths = [len(curve.depth) for curve in machine.curves]
    arrays["start"] = np.r_[0, np.cumsum(lengths)].astype(np.float64)
    for name in _BY_DEPTH:
        parts = [getattr(curve, name) for curve in machine.curves]
        if all(part is not None for part in parts):
            arrays[name] = np.concatenate(parts).astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _machine(head: dict[str, Any], arrays: dict[str, Floats]) -> IonMachine:
    start = arrays["start"].astype(np.int64)
    curves = []
    for first, behind in pairwise(start):
        own = {name: arrays[name][first:behind] for name in _BY_DEPTH if name in arrays}
        own["weight"] = own["weight"] / own["weight"].sum(axis=1, keepdims=True)  # float32 on disk
        curves.append(DepthCurve(**own))
    limits, sad, nozzle = head["scan_limits_mm"], head["virtual_sad_mm"], head["nozzle_mm"]
    return IonMachine(
        name=head["name"],
        version=head["version"],
        ion=head["ion"],
        source=head["source"],
        licence=head["licence"],
        sad=(float(sad[0]), float(sad[1])),
        nozzle=None if nozzle is None else float(nozzle),
        scan_limits=((limits["x"][0], limits["x"][1]), (limits["y"][0], limits["y"][1])),
        minimum_mu=float(head["minimum_mu"]),
        maximum_mu=float(head["maximum_mu"]),
        **{name: arrays[name] for name in _BY_ENERGY},
        curves=tuple(curves),
        tissues=tuple(Tissue(float(alpha), float(beta)) for alpha, beta in head["tissues"]),
        biology=head["biology"],
    )
