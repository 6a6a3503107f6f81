"""Delivered against planned: parts are summed, and each seeded error fails the check meant for it."""

from dataclasses import replace

import numpy as np
import pytest

from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord
from common.errors import BadInput
from tps_engine.evaluate import centroids, meterset
from tps_engine.evaluate.delivered import combine
from tps_engine.evaluate.gamma import GammaCriteria, gamma
from tps_engine.evaluate.verdict import Tolerances, judge, summary

pytestmark = pytest.mark.requirement("TPS-QA")
PATIENT = PatientIdentity("P1", "Test^One", "19700101", "M")
QUANTUM = 1.0 / 20000.0


def _layer(energy, seed):
    rng = np.random.default_rng(seed)
    x, y = (
        a.ravel().astype(np.float32) for a in np.meshgrid(np.arange(-20, 21, 5.0), np.arange(-20, 21, 5.0))
    )
    return IonLayer(energy, x, y, rng.uniform(0.02, 0.2, x.size).astype(np.float32), 10.0, 10.0)


def _plan():
    layers = tuple(_layer(energy, n) for n, energy in enumerate((150.0, 140.0, 130.0)))
    beams = tuple(IonBeam(n, f"B{n}", 90.0 * n, 0.0, (0.0, 0.0, 0.0), layers) for n in (1, 2))
    return IonPlan(PATIENT, "1.2.3", "1.2", "1.2.1", "1.2.9", "1.2.8", "P", "M1", beams, 5, 2.0, "PTV")


def _record(plan, share=1.0, part=1, seed=5, noise=0.15):
    rng = np.random.default_rng(seed)

    def given(layer):
        mu = layer.mu * np.float32(share)
        dx, dy = rng.normal(0, noise, (2, mu.size))
        return LayerRecord(
            layer.energy, (layer.x + dx).astype(np.float32), (layer.y + dy).astype(np.float32), mu, mu,
            np.full(mu.size, 4.0, np.float32), np.full(mu.size, 4.0, np.float32), layer.mu, 1, 2,
        )  # fmt: skip

    beams = tuple(
        BeamRecord(b.number, b.name, b.gantry, b.couch, (0, 0, 0), 400.0, b.meterset,
                   tuple(given(layer) for layer in b.layers), "NORMAL", "TREATMENT")
        for b in plan.beams
    )  # fmt: skip
    return TreatmentRecord(
        PATIENT, f"9.{part}", "1.2", "9", plan.sop_instance_uid, 1, 5, part, "M1", beams, 1, 2, ("t",), "t",
        10.0, {"counts_per_mu": 20000.0, "k_tp": 1.02},
    )  # fmt: skip


def _with_layer(record, index, change):
    beam = record.beams[0]
    layers = list(beam.layers)
    layers[index] = change(layers[index])
    layers = tuple(layer for layer in layers if layer is not None)
    return replace(record, beams=(replace(beam, layers=layers), *record.beams[1:]))


def _verdict(plan, *records):
    beams = combine(plan, records)
    same = gamma(np.ones((3, 3, 3)), np.ones((3, 3, 3)), (3.0, 3.0, 3.0))
    places, sums = centroids.compare(beams), meterset.compare(beams, 0.005, QUANTUM)
    return judge(same, places, sums), summary(same, places, sums)


def test_a_good_fraction_passes():
    plan = _plan()
    verdict, numbers = _verdict(plan, _record(plan))
    assert verdict.passed and verdict.failures == ()
    assert 0.1 < numbers["centroid"]["mean_mm"] < 0.3
    assert numbers["meterset"]["max_relative_spot"] < 1e-6
    assert numbers["gamma"]["pass_rate"] == 100.0


def test_two_parts_are_one_fraction():
    plan = _plan()
    first, second = _record(plan, 0.25, 1, noise=0.0), _record(plan, 0.75, 2, noise=0.0)
    second = _with_layer(second, 0, lambda layer: replace(layer, x=layer.x + np.float32(1.0)))
    beams = combine(plan, [second, first])
    assert beams[0].mu == pytest.approx(beams[0].planned_mu, rel=1e-6)
    shifted = beams[0].layer == 0
    # A mean weighted by MU: three quarters of the shift.
    assert (beams[0].x - beams[0].planned_x)[shifted] == pytest.approx(0.75, abs=1e-5)
    assert (beams[0].x - beams[0].planned_x)[~shifted] == pytest.approx(0.0, abs=1e-5)
    assert beams[0].quantum == pytest.approx(1.02 / 20000.0)
    assert _verdict(plan, first)[0].passed is False
    assert _verdict(plan, first, second)[0].passed is True


def test_a_spot_3_mm_off_fails():
    def shift(layer):
        x = layer.x.copy()
        x[7] += 3.0
        return replace(layer, x=x)

    plan = _plan()
    verdict, numbers = _verdict(plan, _with_layer(_record(plan), 1, shift))
    assert not verdict.passed
    assert any("off its place" in text for text in verdict.failures)
    assert numbers["centroid"]["max_mm"] > 2.5


def test_a_missing_layer_fails():
    plan = _plan()
    verdict, numbers = _verdict(plan, _with_layer(_record(plan), 1, lambda layer: None))
    assert not verdict.passed
    assert any("140.00 MeV" in text for text in verdict.failures)
    assert numbers["meterset"]["missing_layers"] == {"1": [140.0]}
    assert numbers["meterset"]["relative_beam"]["1"] < -0.1
    empty = _with_layer(_record(plan), 1, lambda layer: replace(layer, mu=layer.mu * 0))
    assert not _verdict(plan, empty)[0].passed


def test_five_percent_more_mu_fails():
    plan = _plan()
    verdict, numbers = _verdict(plan, _record(plan, share=1.05))
    assert not verdict.passed
    assert any("meterset +5.000 %" in text for text in verdict.failures)
    assert numbers["meterset"]["relative_beam"] == pytest.approx({"1": 0.05, "2": 0.05}, rel=1e-4)
    # One spot alone, too little for the beam's sum to show it.
    one = _with_layer(_record(plan), 0, lambda layer: replace(layer, mu=layer.mu * _but(layer, 3, 1.05)))
    verdict, _ = _verdict(plan, one)
    assert [text for text in verdict.failures if "1 spots" in text]


def _but(layer, index, factor):
    out = np.ones(len(layer.mu), np.float32)
    out[index] = factor
    return out


def test_one_count_is_allowed_on_a_small_spot():
    plan = _plan()
    more = _with_layer(
        _record(plan), 0, lambda layer: replace(layer, mu=layer.mu + np.float32(0.9 * QUANTUM))
    )
    beams = combine(plan, [more])
    assert not meterset.compare(beams, 0.0, QUANTUM)[0].wrong.any()
    assert meterset.compare_beam(beams[0], 0.0, 0.1 * QUANTUM).wrong.any()


def test_a_shifted_layer_is_absolute_not_relative():
    plan = _plan()
    record = _with_layer(
        _record(plan, noise=0.0), 2, lambda layer: replace(layer, y=layer.y + np.float32(1.5))
    )
    places = centroids.compare(combine(plan, [record]))
    assert places[0].max_mm == pytest.approx(1.5, abs=1e-5)
    assert places[0].max_relative_mm == pytest.approx(0.0, abs=1e-5)
    assert _verdict(plan, record)[0].passed


def test_a_gamma_below_the_limit_fails():
    plan = _plan()
    beams = combine(plan, [_record(plan)])
    dose = np.ones((4, 4, 4))
    bad = gamma(
        dose, np.where(np.arange(64).reshape(4, 4, 4) < 2, 0.5, 1.0), (9.0, 9.0, 9.0), GammaCriteria()
    )
    verdict = judge(bad, centroids.compare(beams), meterset.compare(beams, 0.005))
    assert not verdict.passed and "gamma" in verdict.failures[0]
    assert (
        Tolerances.of_site({"tolerance": {"beam_mu_relative": 0.01, "k_tp_drift": 1}}).beam_mu_relative
        == 0.01
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: replace(r, patient=replace(PATIENT, patient_id="P2")), "patient"),
        (lambda r: replace(r, plan_sop_instance_uid="1.9"), "another plan"),
        (lambda r: replace(r, machine="M2"), "machine"),
        (lambda r: replace(r, beams=(replace(r.beams[0], number=7),)), "beam 7"),
        (lambda r: _with_layer(r, 0, lambda layer: replace(layer, energy=151.0)), "151.00 MeV"),
        (lambda r: _with_layer(r, 0, lambda layer: replace(layer, mu=layer.mu[:-1])), "80 spots"),
        (lambda r: _with_layer(r, 0, lambda layer: replace(layer, mu=layer.mu * np.nan)), "not valid"),
    ],
)
def test_a_record_that_does_not_belong_is_refused(change, text):
    plan = _plan()
    with pytest.raises(BadInput, match=text):
        combine(plan, [change(_record(plan))])


def test_parts_must_be_of_one_fraction_and_given_once():
    plan = _plan()
    record = _record(plan)
    with pytest.raises(BadInput, match="twice"):
        combine(plan, [record, record])
    with pytest.raises(BadInput, match="fractions"):
        combine(plan, [record, replace(record, sop_instance_uid="9.9", fraction=2)])
    with pytest.raises(BadInput, match="no treatment record"):
        combine(plan, [])
