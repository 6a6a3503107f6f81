"""Which quantities a plan may be asked about, and how they follow from sums over spots.

Four sums over spots are linear in the metersets: dose, LET x dose, alpha x dose and sqrt(beta) x dose. The
physical dose, dose-averaged LET and every RBE-weighted dose follow from one or two of them in each voxel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from tps_engine.biology.parameters import ParameterSet
from tps_engine.dose.engine import Influence
from tps_engine.optimise.objectives import Floats
from tps_engine.optimise.paired import AverageLet, IonDose, ProtonDose
from tps_engine.optimise.quantities import LinearDose, Quantity
from tps_engine.plan.aims import LET, PLAN_DOSE

Matrices = Mapping[str, Influence]
"""By the name of the sum (DOSE, LET_DOSE, ALPHA, ROOT_BETA), per MU; all have the same spots and voxels."""

Sums = Mapping[str, Floats]
"""The same four, of given metersets, in voxels (n,)."""

DOSE, LET_DOSE, ALPHA, ROOT_BETA = "dose", "let", "alpha", "root_beta"
PHYSICAL = "physical"


@dataclass(frozen=True)
class Effects:
    """How quantities are made in some voxels.

    model: the plan's own, as texts name it. models: of protons, None for ions. ratio: (voxels,) alpha/beta,
    Gy. tissue: (voxels,) number of the ion machine's tissue, and photons: its alpha 1/Gy and beta 1/Gy2
    (voxels,); empty for protons and for ions by physical dose. let: whether the machine has LET.
    """

    model: str
    models: ParameterSet | None
    ratio: Floats = field(repr=False)
    tissue: NDArray[np.int8] = field(repr=False)
    photons: tuple[Floats, Floats] = field(repr=False)
    let: bool = True

    def at(self, flat: NDArray[np.int64]) -> "Effects":
        """The same in some of the voxels."""
        part = self.tissue[flat] if len(self.tissue) else self.tissue
        alpha, beta = (values[flat] if len(values) else values for values in self.photons)
        ratio = self.ratio[flat] if len(self.ratio) else self.ratio
        return replace(self, ratio=ratio, tissue=part, photons=(alpha, beta))

    @property
    def constant(self) -> float | None:
        """The factor from physical to the plan's dose; None where it differs from voxel to voxel."""
        return self._factor(self.model)

    def known(self) -> tuple[str, ...]:
        """Names of quantities that can be asked for."""
        lets = (LET,) if self.let else ()
        return (PLAN_DOSE, PHYSICAL, *lets, *(self.models.models if self.models else ()))

    def check(self, name: str) -> None:
        """Raise BadInput for a quantity that is not known here, naming those that are."""
        if name not in self.known() and (self.models is None or self.models.find(name) is None):
            raise BadInput(
                _("quantity {name}: allowed are {allowed}").format(name=name, allowed=", ".join(self.known()))
            )

    def sums(self, name: str) -> tuple[str, ...]:
        """Names of the sums that a quantity is made of."""
        chosen = self.model if name == PLAN_DOSE else name
        if chosen == LET:
            return (DOSE, LET_DOSE)
        if self._factor(chosen) is not None:
            return (DOSE,)
        return (DOSE, LET_DOSE) if self.models else (ALPHA, ROOT_BETA)

    def quantity(self, name: str, matrices: Matrices, factor: float = 1.0) -> Quantity:
        """A quantity of the optimiser. factor: on linear ones only. Raises BadInput for an unknown name."""
        self.check(name)
        chosen = self.model if name == PLAN_DOSE else name
        constant = self._factor(chosen)
        if constant is not None:
            return LinearDose(matrices[DOSE], factor * constant)
        if factor != 1.0:
            raise BadInput(
                _("{name} is not proportional to metersets: fields cannot be optimised one by one").format(
                    name=chosen
                )
            )
        first, second = (matrices[part] for part in self.sums(name))
        if chosen == LET:
            return AverageLet(first, second)
        if self.models is not None:
            return ProtonDose(first, second, self.models.model(chosen), self.ratio)
        return IonDose(first, second, *self.photons)

    def values(self, name: str, given: Sums, factor: float = 1.0) -> Floats:
        """The quantity (voxels,) for sums that are known, by the same equations."""
        nothing = Influence(len(given[DOSE]), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, "f4"))
        found = self.quantity(name, dict.fromkeys((DOSE, LET_DOSE, ALPHA, ROOT_BETA), nothing), factor)
        if isinstance(found, LinearDose):
            return np.asarray(found.factor * given[DOSE])
        assert isinstance(found, AverageLet | ProtonDose | IonDose)
        first, second = (given[part] for part in self.sums(name))
        return found.combine(first, second)[0]

    def _factor(self, name: str) -> float | None:
        if name == PHYSICAL:
            return 1.0
        known = self.models.find(name) if self.models else None
        return None if known is None else known.constant
