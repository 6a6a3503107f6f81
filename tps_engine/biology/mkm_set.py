"""Versioned parameter sets of the modified microdosimetric kinetic model: `config/biology/NAME.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput
from common.site import CONFIG, load_checked
from common.text import _
from tps_engine.beamdata.ion_machine import Tissue
from tps_engine.biology.mkm import MkmParameters


@dataclass(frozen=True)
class Cell:
    """A cell line: the model's parameters, and its radiosensitivity for photons."""

    parameters: MkmParameters
    photons: Tissue


@dataclass(frozen=True)
class Fragmentation:
    """Loss of primaries in water, mm; the ion that stands for fragments, and its lowest energy, MeV/u."""

    mean_free_path: float
    fragment: str
    lowest: float


@dataclass(frozen=True)
class MkmSet:
    """name and version identify the set in every output. fragmentation: by ion."""

    name: str
    version: str
    cells: Mapping[str, Cell]
    fragmentation: Mapping[str, Fragmentation]

    def cell(self, name: str) -> Cell:
        """A cell line by name. Raises BadInput listing the names there are."""
        if name not in self.cells:
            raise BadInput(
                _("cell line {name}: parameter set {set} has {allowed}").format(
                    name=name, set=self.name, allowed=", ".join(self.cells)
                )
            )
        return self.cells[name]


def load(name_or_path: str | Path = "carbon-mkm") -> MkmSet:
    """Read and check a set: a name in `config/biology`, or a path. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "biology" / f"{name_or_path}.yaml"
    content = load_checked(path, "mkm")
    cells = {
        name: Cell(
            MkmParameters(
                float(entry["alpha_0"]),
                float(entry["beta"]),
                float(entry["domain_radius_um"]),
                float(entry["nucleus_radius_um"]),
            ),
            Tissue(float(entry["photon_alpha"]), float(entry["beta"])),
        )
        for name, entry in content["cells"].items()
    }
    fragmentation = {
        ion: Fragmentation(float(entry["mean_free_path_mm"]), entry["fragment"], float(entry["lowest_mev"]))
        for ion, entry in content["fragmentation"].items()
    }
    return MkmSet(content["name"], content["version"], cells, fragmentation)
