import hashlib
from dataclasses import replace

import numpy as np
import pytest
from treatment_samples import MACHINE, MONITOR, beam, counted

from common.errors import BadInput, Refused, Tampered
from treatment import accounting
from treatment.accounting import Violation
from treatment.delivery_map import DeliveryMap, check_machine, differences, digest, require_same

K_TP = 1.0123


@pytest.fixture
def wanted():
    return DeliveryMap.from_beam(beam(1), MONITOR, K_TP)


@pytest.mark.requirement("TCS-DOSE")
def test_map_says_what_the_plan_says(wanted):
    planned = beam(1)
    mu = np.concatenate([layer.mu for layer in planned.layers])
    assert np.abs(wanted.preset * wanted.mu_per_count - mu).max() <= 0.5 * wanted.mu_per_count + 1e-12
    assert wanted.layer.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert wanted.energy.tolist() == [140.0, 120.6]
    assert wanted.size_x[0] == pytest.approx(10.0 / 2.354820045)
    kinds = {name: array.dtype.str for name, array in wanted.arrays().items()}
    assert kinds == {
        "energy": "<f8", "layer": "<i4", "x": "<f8", "y": "<f8",
        "size_x": "<f8", "size_y": "<f8", "preset": "<i8", "done": "<i8",
    }  # fmt: skip


def test_digest_is_sha256_over_the_arrays_end_to_end(wanted):
    joined = b"".join(array.tobytes() for array in wanted.arrays().values())
    assert wanted.digest() == hashlib.sha256(joined).hexdigest()
    assert wanted.with_done(np.ones(7, np.int64)).digest() != wanted.digest()


@pytest.mark.requirement("OIS-RV")
@pytest.mark.parametrize("name", ["x", "y", "size_x", "size_y", "preset", "done", "layer", "energy"])
def test_any_altered_value_is_named(wanted, name):
    held = {key: array.copy() for key, array in wanted.arrays().items()}
    require_same(wanted, held, wanted.digest())
    held[name][1] += 1
    assert len(differences(wanted, held)) == 1
    place = "layer 1" if name == "energy" else "spot 1"
    with pytest.raises(Tampered, match=f"{place}: {name} is "):
        require_same(wanted, held, digest(held))


def test_a_map_of_another_length_and_a_false_digest_are_refused(wanted):
    held = wanted.arrays()
    with pytest.raises(Tampered, match="digest"):
        require_same(wanted, held, "0" * 64)
    short = {name: array[:-1] for name, array in held.items()}
    with pytest.raises(Tampered, match="values, approved are"):
        require_same(wanted, short, digest(short))
    del short["done"]
    with pytest.raises(BadInput, match="lacks array done"):
        digest(short)


def test_energy_that_the_machine_lacks_names_the_nearest(wanted):
    check_machine(wanted, MACHINE)
    with pytest.raises(Refused, match=r"layer 2 of beam 1 wants 120.60 MeV.*nearest: 140.00 MeV"):
        check_machine(wanted, replace(MACHINE, energies=(100.4, 140.0)))


@pytest.mark.parametrize(
    "change",
    [{"x": 151.0}, {"y": -201.0}, {"x": float("nan")}, {"preset": 0}, {"preset": 101000}, {"size_x": 0.0}],
)
def test_spots_outside_the_limits_are_refused(wanted, change):
    ((name, value),) = change.items()
    array = getattr(wanted, name).copy()
    array[3] = value
    with pytest.raises(Refused, match="spot 3 of beam 1"):
        check_machine(replace(wanted, **{name: array}), MACHINE)


def test_bad_air_empty_beam_and_wrong_counts_are_refused(wanted):
    with pytest.raises(BadInput, match="k_TP"):
        DeliveryMap.from_beam(beam(1), MONITOR, 0.5)
    with pytest.raises(BadInput, match="no spots"):
        DeliveryMap.from_beam(replace(beam(1), layers=()), MONITOR, 1.0)
    for done in (np.zeros(6, np.int64), np.full(7, -1)):
        with pytest.raises(BadInput, match="do not fit"):
            wanted.with_done(done)


@pytest.mark.requirement("TCS-DOSE")
def test_drift_beyond_tolerance_is_refused():
    accounting.check_drift(1.0, 1.0049, MONITOR)
    for now in (1.0051, 0.9949):
        with pytest.raises(Refused, match="drifted"):
            accounting.check_drift(1.0, now, MONITOR)


@pytest.mark.requirement("TCS-DOSE")
def test_a_delivery_within_the_monitor_model_has_no_violation(wanted):
    primary = wanted.preset + np.array([0, 1, -1, 3, -2, 0, 6])
    run = counted(wanted, primary)
    assert accounting.check_run(wanted, run, MONITOR) == []
    assert accounting.check_beam(wanted, primary, MONITOR) == []
    assert accounting.finished(wanted, primary, MONITOR).all()


def spoilt(wanted, **values):
    run = counted(wanted, wanted.preset)
    arrays = {name: getattr(run, name).copy() for name in values}
    for name, value in values.items():
        arrays[name][2] = value(arrays[name][2])
    return replace(run, **arrays)


@pytest.mark.requirement("TCS-DOSE")
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"primary": lambda n: n * 1.006 + 7, "secondary": lambda n: n * 1.006 + 7}, "spot"),
        ({"secondary": lambda n: n * 0.94 - 7}, "secondary"),
        ({"secondary": lambda n: n * 1.06 + 7}, "secondary"),
        ({"x": lambda x: x + 1.1}, "position"),
        ({"size_x": lambda s: s * 1.21}, "size"),
        ({"size_y": lambda s: s * 0.79}, "size"),
    ],
)
def test_each_tolerance_alone_is_seen_at_its_spot(wanted, values, kind):
    found = accounting.check_run(wanted, spoilt(wanted, **values), MONITOR)
    assert [(one.kind, one.spot) for one in found] == [(kind, 2)]
    assert "spot 2" in str(found[0])


@pytest.mark.requirement("TCS-DOSE")
def test_a_shift_of_the_whole_beam_is_an_absolute_error(wanted):
    run = counted(wanted, wanted.preset)
    moved = replace(run, x=run.x + 2.1)
    assert {one.kind for one in accounting.check_run(wanted, moved, MONITOR)} == {"position"}
    assert accounting.check_run(wanted, replace(run, x=run.x + 1.9), MONITOR) == []


@pytest.mark.requirement("TCS-DOSE")
def test_a_spot_delivered_again_is_seen(wanted):
    half = wanted.with_done(np.where(np.arange(7) < 3, wanted.preset, 0))
    again = np.where(np.arange(7) == 1, 100, 0)
    found = accounting.check_run(half, counted(half, again), MONITOR)
    assert {(one.kind, one.spot) for one in found} >= {("twice", 1)}


@pytest.mark.requirement("TCS-DOSE")
def test_a_beam_called_finished_with_a_spot_missing_is_seen(wanted):
    primary = wanted.preset.copy()
    primary[4] = 0
    kinds = {one.kind for one in accounting.check_beam(wanted, primary, MONITOR)}
    assert kinds == {"spot", "beam"}


@pytest.mark.requirement("TCS-DOSE")
def test_overdose_limit_is_five_percent_or_a_quarter_gray(wanted):
    mu = float((wanted.preset * wanted.mu_per_count).sum())
    assert accounting.overdose_limit_mu(mu, 2 * mu, 2.0, MONITOR) == pytest.approx(0.05 * mu)
    assert accounting.overdose_limit_mu(mu, mu, 10.0, MONITOR) == pytest.approx(0.025 * mu)
    primary = wanted.preset.copy()
    primary[0] += round(0.06 * mu / wanted.mu_per_count)
    found = accounting.check_overdose(wanted, primary, 0.05 * mu)
    assert [one.kind for one in found] == ["overdose"]
    assert found[0].value == pytest.approx(0.06 * mu, rel=1e-3)
    assert accounting.check_overdose(wanted, wanted.preset, 0.05 * mu) == []


def test_counts_of_runs_add_up_raw_and_scale_with_the_air(wanted):
    first, second = counted(wanted, wanted.preset // 3), counted(wanted, wanted.preset // 4)
    total = accounting.delivered([(first, K_TP), (second, K_TP)], 7, K_TP)
    assert (total == wanted.preset // 3 + wanted.preset // 4).all()
    other = accounting.delivered([(first, K_TP * 1.01)], 7, K_TP)
    assert np.abs(other - first.primary * 1.01).max() <= 0.5
    with pytest.raises(BadInput, match="7 spots, the beam has 8"):
        accounting.delivered([(first, K_TP)], 8, K_TP)
    assert str(Violation("beam", -1, 0.2, 0.1)).startswith("beam")
