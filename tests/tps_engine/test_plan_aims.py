"""Lines that planners write, and what they become."""

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.optimise import constraints, objectives, volume
from tps_engine.plan.aims import parse
from tps_engine.plan.request import PlanOptions

VOXELS = np.arange(4)


@pytest.mark.requirement("TPS-OPTIMISE")
def test_lines_become_objectives_and_constraints_of_one_fraction() -> None:
    assert parse("rectum: max < 60").objective(VOXELS, 30) == objectives.Overdose(VOXELS, 2.0, 30.0)
    assert parse("PTV: min > 57, weight 3").objective(VOXELS, 30) == objectives.Underdose(VOXELS, 1.9, 3.0)
    mean = parse("bladder: mean < 15").constraint(VOXELS, 30, 0.002)
    assert isinstance(mean, constraints.MeanAtMost) and mean.level == pytest.approx(0.498)
    # a point of a histogram is the same from either side
    by_volume, by_dose = parse("rectum: V40 < 25 %"), parse("rectum: D25% < 40")
    for one in (by_volume, by_dose):
        found = one.objective(VOXELS, 20)
        assert isinstance(found, volume.DvhMax)
        assert (found.level, found.volume) == (2.0, 0.25)
    eud = parse("PTV: gEUD-10 > 55").constraint(VOXELS, 1)
    assert isinstance(eud, constraints.EudAtLeast) and eud.exponent == -10.0
    # LETd is not shared out among fractions, and a quantity may have blanks in its name
    let, named = parse("brain stem: LETd max < 6"), parse("cord: constant 1.1 max < 45")
    assert (let.region, let.quantity, let.scaled(30)) == ("brain stem", "LETd", 6.0)
    assert (named.quantity, named.scaled(30)) == ("constant 1.1", 1.5)


@pytest.mark.requirement("TPS-OPTIMISE")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rectum V40", "REGION: METRIC"),
        ("rectum: max > 60", "max and mean are kept below"),
        ("rectum: V40 < 30", "REGION: METRIC"),
        ("rectum: D2 < 3 %", "REGION: METRIC"),
        ("rectum: V40 < 130 %", "0 to 100 %"),
        ("rectum: gEUD-4 < 30", "exponent of 1 or more"),
        ("PTV: gEUD0 > 30", "any number but 0"),
    ],
)
def test_unclear_lines_are_refused_before_anything_is_read(line: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        PlanOptions(constraints=(line,))
