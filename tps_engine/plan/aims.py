"""What a planner asks of a region in one line, as an objective or a hard constraint.

    rectum: max < 62             bladder: mean < 20           rectum: V40 < 30 %
    PTV: D95% > 57               rectum: gEUD8 < 45           brain stem: LETd max < 6
    PTV: min > 55                rectum: McNamara max < 60    bladder: mean < 15, weight 2

Doses are Gy over all fractions; LETd is in keV/um; V has its level behind it and a part of the region as
its limit, D has the part behind it. In front of the metric stands the quantity when it is not the plan's
own dose.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from common.errors import BadInput
from common.text import _
from tps_engine.optimise import constraints, objectives, volume
from tps_engine.optimise.constraints import Constraint
from tps_engine.optimise.objectives import Index, Objective

PLAN_DOSE, LET = "dose", "LETd"
"""Names of quantities: the RBE-weighted dose that the plan is prescribed in, and dose-averaged LET."""

_NUMBER = r"-?\d+(?:\.\d+)?"
_LINE = re.compile(
    rf"^(?:(?P<quantity>\S.*?)\s+)?(?P<metric>max|min|mean|gEUD(?P<exponent>{_NUMBER})"
    rf"|(?P<point>[DV])(?P<at>\d+(?:\.\d+)?)\s*%?)\s*(?P<sign><|>)=?\s*(?P<value>{_NUMBER})"
    rf"\s*(?P<unit>%|Gy|keV/um)?(?:\s*,\s*weight\s+(?P<weight>\d+(?:\.\d+)?))?$"
)
_WEIGHT = 30.0
_MEAN_WEIGHT = 10.0


@dataclass(frozen=True)
class Aim:
    """One line. metric: max, min, mean, gEUD or DVH; most: the limit is from above.

    level: Gy over all fractions, or keV/um. volume: DVH, part (0..1) of the region. weight: of an objective.
    """

    text: str
    region: str
    metric: str
    most: bool
    level: float
    volume: float = 0.0
    exponent: float = 1.0
    quantity: str = PLAN_DOSE
    weight: float = field(default=_WEIGHT)

    def scaled(self, fractions: int) -> float:
        """The level for one fraction, in the quantity's own unit."""
        return self.level if self.quantity == LET else self.level / fractions

    def objective(self, voxels: Index, fractions: int) -> Objective:
        """The objective on these voxels; its value is in Gy2 of a fraction, or (keV/um)2."""
        return _OBJECTIVES[self.metric, self.most](self, voxels, self.scaled(fractions))

    def constraint(self, voxels: Index, fractions: int, inside: float = 0.0) -> Constraint:
        """The hard constraint on these voxels for one fraction, tighter by `inside` in its own unit."""
        level = self.scaled(fractions)
        kept = max(level - inside, 0.0) if self.most else level + inside
        return _CONSTRAINTS[self.metric, self.most](self, voxels, kept)


_OBJECTIVES: dict[tuple[str, bool], Callable[[Aim, Index, float], Objective]] = {
    ("max", True): lambda aim, at, level: objectives.Overdose(at, level, aim.weight),
    ("min", False): lambda aim, at, level: objectives.Underdose(at, level, aim.weight),
    ("mean", True): lambda aim, at, level: objectives.MeanOver(at, level, aim.weight),
    ("mean", False): lambda aim, at, level: objectives.MeanUnder(at, level, aim.weight),
    ("DVH", True): lambda aim, at, level: volume.DvhMax(at, level, aim.volume, aim.weight),
    ("DVH", False): lambda aim, at, level: volume.DvhMin(at, level, aim.volume, aim.weight),
    ("gEUD", True): lambda aim, at, level: volume.EudMax(at, level, aim.exponent, aim.weight),
    ("gEUD", False): lambda aim, at, level: volume.EudMin(at, level, aim.exponent, aim.weight),
}
_CONSTRAINTS: dict[tuple[str, bool], Callable[[Aim, Index, float], Constraint]] = {
    ("max", True): lambda aim, at, level: constraints.DoseAtMost(aim.text, at, level),
    ("min", False): lambda aim, at, level: constraints.DoseAtLeast(aim.text, at, level),
    ("mean", True): lambda aim, at, level: constraints.MeanAtMost(aim.text, at, level),
    ("mean", False): lambda aim, at, level: constraints.MeanAtLeast(aim.text, at, level),
    ("DVH", True): lambda aim, at, level: constraints.VolumeAtMost(aim.text, at, level, aim.volume),
    ("DVH", False): lambda aim, at, level: constraints.VolumeAtLeast(aim.text, at, level, aim.volume),
    ("gEUD", True): lambda aim, at, level: constraints.EudAtMost(aim.text, at, level, aim.exponent),
    ("gEUD", False): lambda aim, at, level: constraints.EudAtLeast(aim.text, at, level, aim.exponent),
}


def parse(text: str) -> Aim:
    """The aim of a line. Raises BadInput that shows what lines look like."""
    region, colon, rest = text.rpartition(":")
    found = _LINE.match(rest.strip())
    if not region.strip() or not colon or found is None:
        raise _unclear(text)
    aim = _volume_aim(text, found) if found["point"] else _plain_aim(found)
    if aim is None or (aim.metric, aim.most) not in _OBJECTIVES or aim.level < 0.0:
        raise _unclear(text)
    if aim.metric == "gEUD":
        volume.check_exponent(aim.exponent)
        if (aim.exponent >= 1.0) != aim.most:
            raise BadInput(
                _("{text}: a gEUD kept low needs an exponent of 1 or more, one kept high below 1").format(
                    text=text
                )
            )
    return Aim(
        text.strip(), region.strip(), aim.metric, aim.most, aim.level, aim.volume, aim.exponent,
        found["quantity"] or PLAN_DOSE, aim.weight if found["weight"] is None else float(found["weight"]),
    )  # fmt: skip


def _plain_aim(found: re.Match[str]) -> Aim | None:
    if found["unit"] == "%":
        return None
    metric = "gEUD" if found["exponent"] else found["metric"]
    weight = _MEAN_WEIGHT if metric == "mean" else _WEIGHT
    exponent = float(found["exponent"] or 1.0)
    return Aim("", "", metric, found["sign"] == "<", float(found["value"]), 0.0, exponent, weight=weight)


def _volume_aim(text: str, found: re.Match[str]) -> Aim | None:
    """V40 < 30 % and D30% < 40 are one thing: at most 30 % of the region above 40."""
    at, value = float(found["at"]), float(found["value"])
    if (found["point"] == "V") != (found["unit"] == "%"):
        return None
    percent, level = (value, at) if found["point"] == "V" else (at, value)
    if not 0.0 <= percent <= 100.0:
        raise BadInput(_("{text}: a part of a region is 0 to 100 %").format(text=text))
    return Aim("", "", "DVH", found["sign"] == "<", level, percent / 100.0)


def _unclear(text: str) -> BadInput:
    return BadInput(
        _(
            "{text}: give REGION: METRIC < LIMIT (or >), such as rectum: V40 < 30 %, PTV: D95% > 57, "
            "rectum: mean < 20, rectum: gEUD8 < 45, brain stem: LETd max < 6; max and mean are kept below, "
            "min and mean above"
        ).format(text=text)
    )
