"""RBE models of protons against the linear-quadratic model itself, published limits and each other."""

import numpy as np
import pytest
import yaml
from scipy.optimize import brentq

from common.errors import BadConfig, BadInput
from common.site import CONFIG
from tps_engine.biology import parameters, stated
from tps_engine.biology.rbe import alpha_beta_map, combine, limits, rbe, weighted_dose

pytestmark = pytest.mark.requirement("TPS-BIO")
VARIABLE = ("McNamara", "Wedenberg", "Carabe")
SET = parameters.load()


def of(name, dose, let, alpha_beta):
    return float(rbe(SET.model(name), np.array(dose), np.array(let), alpha_beta))


def test_the_constant_model_is_1_1_everywhere():
    dose = np.array([0.0, 0.5, 2.0, 8.0])
    assert rbe(SET.model("constant 1.1"), dose, 3.0 * dose, 2.0) == pytest.approx([1.1] * 4)
    assert weighted_dose(SET.model("constant 1.1"), dose, dose, 2.0) == pytest.approx(1.1 * dose)


@pytest.mark.parametrize("name", VARIABLE)
@pytest.mark.parametrize(
    ("dose", "let", "alpha_beta"), [(2.0, 2.5, 2.0), (2.0, 10.0, 10.0), (0.3, 5.0, 3.0), (12.0, 1.0, 1.5)]
)
def test_weighted_dose_gives_photons_the_same_survival(name, dose, let, alpha_beta):
    """Solved numerically: alpha D + beta D^2 of photons = RBEmax alpha d + RBEmin^2 beta d^2 of protons."""
    highest, lowest = limits(SET.model(name), np.array(let), np.array(alpha_beta))
    effect = alpha_beta * float(highest) * dose + float(lowest) ** 2 * dose**2
    photons = brentq(lambda d: alpha_beta * d + d * d - effect, 0.0, 1000.0)
    assert of(name, dose, let, alpha_beta) == pytest.approx(photons / dose, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "let", "alpha_beta", "highest", "lowest"),
    [
        # McNamara et al. 2015, equation 9: 0.99064 + 0.35605 LETd/ab, 1.1012 - 0.0038703 sqrt(ab) LETd
        ("McNamara", 2.5, 2.0, 0.99064 + 0.35605 * 1.25, 1.1012 - 0.0038703 * np.sqrt(2.0) * 2.5),
        ("McNamara", 0.0, 10.0, 0.99064, 1.1012),
        # Wedenberg et al. 2013: alpha ratio 1 + 0.434 LETd/ab, beta unchanged
        ("Wedenberg", 10.0, 10.0, 1.434, 1.0),
        ("Wedenberg", 0.0, 3.0, 1.0, 1.0),
        # Carabe et al. 2012: 0.843 + 0.154 (2.686/ab) LETd, 1.09 + 0.006 (2.686/ab) LETd
        ("Carabe", 2.0, 2.686, 0.843 + 0.154 * 2.0, 1.09 + 0.006 * 2.0),
        ("Carabe", 5.0, 10.0, 0.843 + 0.154 * 0.2686 * 5.0, 1.09 + 0.006 * 0.2686 * 5.0),
    ],
)  # fmt: skip
def test_limits_are_the_published_ones_and_reached(name, let, alpha_beta, highest, lowest):
    found = limits(SET.model(name), np.array(let), np.array(alpha_beta))
    assert [float(value) for value in found] == pytest.approx([highest, lowest], rel=1e-5)
    assert of(name, 0.0, let, alpha_beta) == pytest.approx(highest, rel=1e-5)
    assert of(name, 1e-5, let, alpha_beta) == pytest.approx(highest, rel=1e-4)
    assert of(name, 1e5, let, alpha_beta) == pytest.approx(lowest, rel=1e-3)


def test_clinical_values_lie_where_published_averages_do():
    """2 Gy in mid-target (LETd about 2.5): 1.05 to 1.15 for ab 10, higher for late-responding tissue."""
    for name in ("McNamara", "Wedenberg"):
        assert 1.05 < of(name, 2.0, 2.5, 10.0) < 1.15
        assert 1.13 < of(name, 2.0, 2.5, 3.0) < 1.25
        assert 1.3 < of(name, 2.0, 10.0, 3.0) < 1.8
    assert of("McNamara", 2.0, 2.5, 2.0) == pytest.approx(1.1936, abs=2e-4)
    assert of("Wedenberg", 2.0, 10.0, 10.0) == pytest.approx(1.2974, abs=2e-4)


@pytest.mark.parametrize("name", VARIABLE)
def test_rbe_rises_with_let_and_falls_with_dose_and_alpha_beta(name):
    let = np.linspace(0.5, 15.0, 30)
    assert (np.diff(rbe(SET.model(name), np.full(30, 2.0), let, 3.0)) > 0.0).all()
    dose = np.linspace(0.1, 10.0, 30)
    assert (np.diff(rbe(SET.model(name), dose, np.full(30, 6.0), 3.0)) < 0.0).all()
    ratio = np.linspace(1.0, 12.0, 30)
    assert (np.diff(rbe(SET.model(name), np.full(30, 2.0), np.full(30, 6.0), ratio)) < 0.0).all()


def test_several_fields_are_weighed_by_dose():
    first, second = np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0])
    dose, let = combine([first, second], [np.array([2.0, 9.0, 3.0]), np.array([6.0, 9.0, 0.0])])
    assert dose == pytest.approx([2.0, 0.0, 3.0])
    assert let == pytest.approx([4.0, 0.0, 2.0])
    model = SET.model("Wedenberg")
    together = weighted_dose(model, dose, let, 3.0)
    apart = sum(weighted_dose(model, d, le, 3.0) for d, le in ((first, 2.0), (second, 6.0)))
    # given together the second gray starts from the shoulder of the first: less than the sum of both alone
    assert together[0] < apart[0]
    alpha = (1.0 * (1 + 0.434 * 2 / 3) + 1.0 * (1 + 0.434 * 6 / 3)) / 2
    effect = 3.0 * alpha * 2.0 + 4.0
    assert together[0] == pytest.approx((-3.0 + np.sqrt(9.0 + 4.0 * effect)) / 2.0, rel=1e-6)
    assert together[1] == 0.0
    with pytest.raises(BadInput, match="dose and a LET each"):
        combine([first], [])


def test_alpha_beta_follows_the_structures():
    inside = np.zeros((2, 2, 2), dtype=bool)
    inside[0] = True
    corner = np.zeros_like(inside)
    corner[0, 0, 0] = True
    found = alpha_beta_map(
        SET, (2, 2, 2), {"brain": inside, "stem": corner}, {"brain": "central-nervous", "stem": 3.5}
    )
    assert found[1] == pytest.approx(10.0)
    assert found[0, 0, 1] == pytest.approx(2.0)
    assert found[0, 0, 0] == pytest.approx(3.5)
    dose = np.full((2, 2, 2), 2.0)
    effect = weighted_dose(SET.model("McNamara"), dose, np.full((2, 2, 2), 4.0), found)
    assert effect[0, 1, 1] > effect[0, 0, 0] > effect[1, 0, 0]
    for tissues, message in (
        ({"liver": "default"}, "brain, stem"),
        ({"brain": "steel"}, "prostate"),
        ({"brain": 0.0}, "above 0"),
    ):
        with pytest.raises(BadInput, match=message):
            alpha_beta_map(SET, (2, 2, 2), {"brain": inside, "stem": corner}, tissues)


def test_bad_values_are_refused():
    model = SET.model("McNamara")
    for dose, let, ratio in ((np.nan, 1.0, 3.0), (-1.0, 1.0, 3.0), (1.0, -1.0, 3.0), (1.0, 1.0, 0.0)):
        with pytest.raises(BadInput):
            rbe(model, np.array([dose]), np.array([let]), ratio)
    with pytest.raises(BadInput, match="McNamara"):
        SET.model("LEM IX")


def test_a_parameter_set_names_its_version_and_a_damaged_one_is_refused(tmp_path):
    assert (SET.name, SET.version) == ("proton-rbe", "1.0")
    assert all(model.source for model in SET.models.values())
    content = yaml.safe_load((CONFIG / "biology" / "proton-rbe.yaml").read_text())
    for change in (
        lambda c: c["models"]["McNamara"].pop("rbe_min"),
        lambda c: c["models"]["constant 1.1"].pop("rbe"),
        lambda c: c["tissues"].pop("default"),
        lambda c: c["tissues"]["prostate"].__setitem__("alpha_beta_gy", -1.0),
        lambda c: c.pop("version"),
    ):
        broken = yaml.safe_load(yaml.safe_dump(content))
        change(broken)
        path = tmp_path / "broken.yaml"
        path.write_text(yaml.safe_dump(broken))
        with pytest.raises(BadConfig):
            parameters.load(path)


def test_what_a_plan_says_of_its_biology_is_read_again():
    known = SET
    made = stated.stated(known, "Wedenberg", {"腮腺, left": "late-responding", "PTV": 8.0})
    again = stated.read(known, made.line)
    assert again == made and list(again.ratios.items())[1:] == [("腮腺, left", 3.0), ("PTV", 8.0)]
    assert made.line.isascii() and made.name == "Wedenberg, proton-rbe 1.0"
    for constant in ("constant 1.1", "constant 1.05", "constant 1"):
        found = stated.read(known, constant)
        assert found.line == constant and found.model.constant == float(constant.split()[1])
    for wrong, said in (
        ("constant 3", "allowed are"),
        ("", "allowed are constant 1.1"),
        ("McNamara", "plan again"),
        (made.line.replace("1.0;", "0.9;"), "here is proton-rbe 1.0"),
    ):
        with pytest.raises(BadInput, match=said):
            stated.read(known, wrong)
