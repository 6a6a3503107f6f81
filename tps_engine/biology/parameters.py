"""Versioned parameter sets of RBE models and tissues: `config/biology/NAME.yaml`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.site import CONFIG, load_checked
from common.text import _

CONSTANTS = (1.0, 1.5)
"""Constant RBE of protons that may be asked for beside the models of a set."""

_CONSTANT = re.compile(r"^constant (\d(?:\.\d+)?)$")


@dataclass(frozen=True)
class Line:
    """A limit of the RBE: constant + per_let * LETd * (alpha/beta)^power; LETd keV/um, alpha/beta Gy."""

    constant: float
    per_let: float
    alpha_beta_power: float


@dataclass(frozen=True)
class RbeModel:
    """A model of one parameter set. constant: the RBE of a constant model, whose limits are that value."""

    name: str
    source: str
    constant: float | None
    rbe_max: Line
    rbe_min: Line


@dataclass(frozen=True)
class ParameterSet:
    """name and version identify the set in every output. tissues: alpha/beta in Gy by tissue name."""

    name: str
    version: str
    models: Mapping[str, RbeModel]
    tissues: Mapping[str, float]

    def find(self, name: str) -> RbeModel | None:
        """A model by name, or of `constant X` for X in CONSTANTS; None where there is none."""
        if name in self.models:
            return self.models[name]
        number = _CONSTANT.match(name)
        value = float(number[1]) if number else 0.0
        if not CONSTANTS[0] <= value <= CONSTANTS[1]:
            return None
        flat = Line(value, 0.0, 0.0)
        return RbeModel(name, "stated by the planner", value, flat, flat)

    def model(self, name: str) -> RbeModel:
        """A model as `find` does. Raises BadInput listing the names there are."""
        found = self.find(name)
        if found is None:
            raise BadInput(
                _("RBE model {name}: allowed are {allowed}").format(
                    name=name or "-",
                    allowed=", ".join((*self.models, f"constant {CONSTANTS[0]:g} .. {CONSTANTS[1]:g}")),
                )
            )
        return found

    def alpha_beta(self, tissue: str) -> float:
        """alpha/beta in Gy of a tissue. Raises BadInput listing the names there are."""
        if tissue not in self.tissues:
            raise BadInput(
                _("tissue {name}: parameter set {set} has {allowed}").format(
                    name=tissue, set=self.name, allowed=", ".join(self.tissues)
                )
            )
        return self.tissues[tissue]


def load(name_or_path: str | Path = "proton-rbe") -> ParameterSet:
    """Read and check a set: a name in `config/biology`, or a path. Raises BadConfig."""
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = CONFIG / "biology" / f"{name_or_path}.yaml"
    content = load_checked(path, "rbe_models")
    models = {name: _model(name, entry) for name, entry in content["models"].items()}
    tissues = {name: float(entry["alpha_beta_gy"]) for name, entry in content["tissues"].items()}
    return ParameterSet(content["name"], content["version"], models, tissues)


def _model(name: str, entry: Mapping[str, Any]) -> RbeModel:
    if entry["kind"] == "constant":
        flat = Line(float(entry["rbe"]), 0.0, 0.0)
        return RbeModel(name, entry["source"], float(entry["rbe"]), flat, flat)
    return RbeModel(name, entry["source"], None, Line(**entry["rbe_max"]), Line(**entry["rbe_min"]))
