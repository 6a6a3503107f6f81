"""Plans to choose from, in a script and on the water cube."""

from itertools import pairwise

import pytest
from tps_phantoms import water_box

from common.errors import BadInput
from tps_engine.scripting.case import Case

WHAT = {
    "dose": 2.0,
    "fractions": 25,
    "fields": {"LAT": 90.0, "POST": 180.0},
    "margin": 0.0,
    "dose_spacing": 6.0,
}


@pytest.mark.requirement("TPS-OPTIMISE", "TPS-SCRIPT")
def test_a_limit_on_an_organ_is_bought_with_the_target() -> None:
    case = Case(*water_box())
    choices = case.explore("cube", ["organ: mean"], plans=6, **WHAT)
    assert choices.criteria == ("cube: deviation", "organ: mean")
    values = sorted((row[2], row[1]) for row in choices.table().rows)
    assert 3 <= len(values) <= 6
    # along the surface the one falls where the other rises
    assert all(first[1] >= second[1] for first, second in pairwise(values))
    least, most = values[0][0], values[-1][0]
    limit = {"organ: mean": 0.5 * (least + most)}
    assert choices.reach(limit).rows[0][1] >= choices.reach().rows[0][1]
    plan = choices.plan(limit)
    assert plan.result.goals[0].reached == pytest.approx(limit["organ: mean"], rel=0.25)
    assert min(float(layer.mu.min()) for beam in plan.result.beams for layer in beam.layers) >= 0.02
    assert choices.picture(limit)._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(BadInput, match="keeps organ: mean at or below"):
        choices.plan({"organ: mean": 0.2 * least})
    with pytest.raises(BadInput, match="no criterion named liver"):
        choices.plan({"liver: mean": 1.0})


@pytest.mark.requirement("TPS-SCRIPT")
def test_what_cannot_be_traded_is_refused() -> None:
    case = Case(*water_box())
    for criteria, more, said in (
        ([], {}, "one criterion or more"),
        (["organ: max"], {}, "REGION: mean"),
        (["organ: LETd mean"], {}, "REGION: mean"),
        (["organ: mean"], {"uniform": True}, "do not go with uniform"),
        (["organ: mean"], {"model": "McNamara"}, "constant RBE"),
        (["organ: mean"], {"colour": 3}, "no choice of a plan"),
    ):
        with pytest.raises(BadInput, match=said):
            case.explore("cube", criteria, **WHAT, **more)
