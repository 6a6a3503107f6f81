"""What a plan of protons says of its biology, as one line that can be read again.

constant 1.1
McNamara, proton-rbe 1.0; alpha/beta Gy {"default": 10.0, "rectum": 3.0}
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.errors import BadInput
from common.text import _
from tps_engine.biology.parameters import ParameterSet, RbeModel

_LINE = re.compile(r"^(?P<model>.+), (?P<set>\S+) (?P<version>\S+); alpha/beta Gy (?P<ratios>\{.*\})$")
DEFAULT = "default"
"""What stands for every voxel that lies in no region with an alpha/beta of its own."""


@dataclass(frozen=True)
class Biology:
    """A model of a parameter set. ratios: alpha/beta in Gy by region, later ones first; none for a constant.

    parameters: name and version of the set.
    """

    model: RbeModel
    parameters: tuple[str, str]
    ratios: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Model, set and version: what a dose computed by them is called."""
        return f"{self.model.name}, {self.parameters[0]} {self.parameters[1]}"

    @property
    def line(self) -> str:
        """All that has to be known to weigh a dose alike again; a constant says everything by its name."""
        if self.model.constant is not None:
            return self.model.name
        return f"{self.name}; alpha/beta Gy {json.dumps(dict(self.ratios))}"

    @property
    def regions(self) -> dict[str, float]:
        """Regions with an alpha/beta of their own, Gy."""
        return {name: ratio for name, ratio in self.ratios.items() if name != DEFAULT}


def stated(known: ParameterSet, model: str, tissues: Mapping[str, str | float]) -> Biology:
    """The biology of a plan. tissues: for a region a tissue of the set or its alpha/beta in Gy.

    Raises BadInput for a model or tissue that the set has not.
    """
    found, ratios = known.model(model), {}
    if found.constant is None:
        ratios[DEFAULT] = known.alpha_beta(DEFAULT)
        for region, tissue in tissues.items():
            ratios[region] = known.alpha_beta(tissue) if isinstance(tissue, str) else float(tissue)
    return Biology(found, (known.name, known.version), ratios)


def read(known: ParameterSet, line: str) -> Biology:
    """The biology of a `line`. Raises BadInput for an unknown model, or another set or version."""
    found = _LINE.match(line)
    if found is None:
        model = known.model(line)
        if model.constant is None:
            raise BadInput(
                _("RBE model {name} without alpha/beta and version: recompute needs them; plan again").format(
                    name=line
                )
            )
        return Biology(model, (known.name, known.version))
    named = (found["set"], found["version"])
    if named != (known.name, known.version):
        raise BadInput(
            _(
                "the plan was weighed by {theirs}, here is {ours}: doses cannot be compared; plan again"
            ).format(theirs=" ".join(named), ours=f"{known.name} {known.version}")
        )
    ratios = {str(region): float(ratio) for region, ratio in json.loads(found["ratios"]).items()}
    return Biology(known.model(found["model"]), named, ratios)
