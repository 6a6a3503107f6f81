"""The beam hardware core: counts, interruption, trips. Pure and in ticks."""

from dataclasses import replace

import numpy as np
import pytest
from rig_fpga import MODEL, SLICE, Rig, make_map

from common.clock import TICKS_PER_SECOND, ticks
from common.errors import Refused, Unauthorised
from simulation.fpga.model import FAULT_SIZES
from simulation.fpga.noise import normals
from simulation.fpga.rows import columns
from simulation.fpga.spotmap import accept, digest_of
from simulation.fpga.states import ACTIVE, State


def whole(seed: int = 7, **kwargs) -> Rig:
    rig = Rig(seed)
    rig.load(**kwargs)
    rig.core.start()
    assert rig.run() is State.COMPLETE
    return rig


def same(rows, reference) -> None:
    for name in ("primary", "secondary", "x", "y", "size_x", "size_y"):
        np.testing.assert_allclose(rows[name], reference[name], rtol=1e-5, err_msg=name)


@pytest.mark.requirement("TCS-DOSE")
def test_a_whole_map_is_counted_within_the_monitor_model() -> None:
    rig = whole()
    preset = make_map()[1]["preset"]
    rows = rig.rows
    assert np.all(np.abs(rows["primary"] - preset) <= np.maximum(1, 0.005 * preset))
    assert abs(rows["primary"].sum() / preset.sum() - 1) < 1e-3
    assert np.all(np.abs(rows["secondary"] / preset - 1) < 0.02)
    assert np.all(rows["start_tick"] > 0) and np.all(rows["end_tick"] > rows["start_tick"])
    assert np.all(rows["start_tick"][1:] >= rows["end_tick"][:-1])
    assert sorted(rig.ended()) == list(range(len(preset)))
    deviation = rows["x"] - make_map()[1]["x"]
    assert 0.1 < deviation.std() < 0.2


@pytest.mark.requirement("TCS-IRRADIATE")
def test_slices_do_not_change_what_is_counted() -> None:
    reference = whole().rows
    for step in (1_000_003, 77 * SLICE):
        rig = Rig()
        rig.load()
        rig.core.start()
        rig.run(step)
        same(rig.rows, reference)


@pytest.mark.requirement("TCS-IRRADIATE")
def test_twenty_holds_at_random_moments_change_nothing() -> None:
    reference = whole().rows
    duration = int(reference["end_tick"].max())
    rng = np.random.default_rng(1)
    for moment in rng.integers(1, duration, 20):
        rig = Rig()
        rig.load()
        rig.core.start()
        rig.go(int(moment))
        rig.core.hold("operator")
        assert rig.run() is State.HELD
        rig.go(int(rng.integers(1, TICKS_PER_SECOND)))
        rig.core.resume()
        assert rig.run() is State.COMPLETE
        same(rig.rows, reference)


@pytest.mark.requirement("TCS-IRRADIATE")
def test_a_trip_within_a_spot_and_a_continuation_from_counts_add_up() -> None:
    reference = whole().rows
    rng = np.random.default_rng(2)
    middle = rng.choice(len(reference), 20, replace=False)
    for spot in middle:
        first = Rig()
        first.load()
        first.core.start()
        part = rng.uniform(0.05, 0.95)
        start, end = int(reference["start_tick"][spot]), int(reference["end_tick"][spot])
        first.go(start + int(part * (end - start)) - first.core.tick)
        first.good["magnets"] = False
        first.go(1)
        assert first.core.state is State.TRIPPED
        done = first.rows["primary"].copy()
        assert 0 < done[spot] <= reference["primary"][spot]
        second = Rig()
        second.load(done=done)
        second.core.start()
        assert second.run() is State.COMPLETE
        total = done + second.rows["primary"]
        np.testing.assert_array_equal(total, reference["primary"])
        np.testing.assert_array_equal(
            first.rows["secondary"] + second.rows["secondary"], reference["secondary"]
        )
        weight = second.rows["primary"] / total
        x = first.rows["x"] * (1 - weight) + second.rows["x"] * weight
        np.testing.assert_allclose(x, reference["x"], rtol=1e-5)


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("name", ["magnets", "couch", "watchdog.session", "link.plant", "vacuum"])
def test_a_lost_input_takes_beam_away_and_nothing_starts_afterwards(name: str) -> None:
    rig = Rig()
    rig.load(spots=150)
    rig.core.start()
    rig.go(4 * TICKS_PER_SECOND)
    assert rig.core.state is State.DELIVERING
    rig.good[name] = None
    rig.go(SLICE)
    (trip,) = rig.trips()
    assert trip.input == name and rig.core.cause == name
    assert trip.tick <= trip.beam_off_tick <= trip.tick + MODEL.fast_off
    assert rig.core.guard.outputs.first_fault.input == name
    frozen = rig.rows.copy()
    with pytest.raises(Refused):
        rig.core.resume()
    with pytest.raises(Refused, match="cause is still there"):
        rig.core.reset("meier", ["therapist", "operator"])
    rig.go(10 * SLICE)
    np.testing.assert_array_equal(rig.rows, frozen)
    assert rig.rows["start_tick"].max() < trip.tick
    rig.good[name] = True
    rig.go(SLICE)
    with pytest.raises(Unauthorised):
        rig.core.reset("weber", ["physicist"])
    rig.core.reset("meier", ["therapist", "operator"])
    assert rig.core.state is State.HELD
    rig.core.resume()
    assert rig.run() is State.COMPLETE
    same(rig.rows, whole(spots=150).rows)


@pytest.mark.requirement("TCS-DOSE")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("position_offset", "spot.position"),
        ("size_error", "spot.size"),
        ("monitor_mismatch", "monitor.mismatch"),
        ("primary_low", "monitor.overdose"),
        ("stuck_beam", "monitor.overdose"),
        ("dose_rate_low", "delivery.timer"),
        ("unexpected_beam", "beam.unexpected"),
    ],
)
@pytest.mark.parametrize("when", [0, 4 * TICKS_PER_SECOND])
def test_each_check_alone_ends_the_delivery(kind: str, expected: str, when: int) -> None:
    others = dict.fromkeys(MODEL.tolerance, 1e9)
    own = {"spot.position": "position_absolute_mm", "spot.size": "size_relative"}
    own["monitor.mismatch"] = "secondary_relative"
    if expected in own:
        others[own[expected]] = MODEL.tolerance[own[expected]]
    rig = Rig(model=replace(MODEL, tolerance=others))
    preset = rig.load(spots=200).preset
    rig.core.start()
    if when:
        rig.go(when)
    rig.core.fault(kind, None)
    assert rig.run() is State.TRIPPED
    (trip,) = rig.trips()
    assert trip.input == expected
    fast = MODEL.rate * MODEL.fast_off * 2
    assert np.all(rig.rows["secondary"] <= 1.05 * preset + 10 + fast)
    rig.core.fault(kind, 0.0)
    rig.go(SLICE)
    rig.core.reset("meier", ["therapist"])
    assert rig.core.state is State.HELD
    assert set(FAULT_SIZES) >= {kind}


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_fast_actuator_that_fails_is_backed_up_and_noticed() -> None:
    rig = Rig()
    rig.load(spots=200)
    rig.core.start()
    rig.go(4 * TICKS_PER_SECOND)
    rig.core.fault("fast_off_fails", None)
    rig.go(SLICE)
    rig.good["rf"] = False
    rig.go(SLICE)
    (trip,) = rig.trips()
    assert trip.beam_off_tick == trip.tick + MODEL.slow_off
    rig.go(SLICE)
    assert "beam.unexpected" in rig.core.guard.outputs.tripped


@pytest.mark.requirement("TCS-IRRADIATE")
def test_hold_finishes_a_short_spot_and_cuts_a_long_one() -> None:
    rig = Rig()
    preset = np.full(4, 10**5, "<i8")
    preset[0] = 4000
    rig.load(layers=1, spots=4, preset=preset)
    rig.core.start()
    rig.go(MODEL.switch * 7 // 10 + ticks(0.02))
    assert rig.core.state is State.DELIVERING
    rig.core.hold("operator")
    assert rig.run(100_000) is State.HELD
    assert abs(rig.rows["primary"][0] - 4000) <= 1 and not rig.rows["primary"][1:].any()
    rig.core.resume()
    rig.go(MODEL.switch + ticks(0.1))
    rig.core.hold("operator")
    assert rig.core.state is State.HELD and rig.core.cause == "operator"
    assert 0 < rig.rows["primary"][1] < 10**5 and not rig.rows["primary"][2:].any()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_a_layer_beyond_one_spill_takes_more_cycles() -> None:
    preset = np.full(30, 20000 * 40, "<i8")  # 40 MU a spot, 1200 MU a layer
    rig = whole(layers=1, spots=30, preset=preset)
    flat_tops = [o for o in rig.outputs if getattr(o, "phase", None) == "FLAT_TOP"]
    need = preset.sum() / MODEL.spill_counts(140.0)
    assert need <= len(flat_tops) <= 2 * need + 1
    assert np.all(np.abs(rig.rows["primary"] - preset) <= 1)


@pytest.mark.requirement("TCS-IRRADIATE")
def test_every_layer_is_delivered_at_its_own_energy_also_when_two_are_the_same() -> None:
    rig = whole(layers=4, energy=np.array([140.0, 140.0, 120.0, 140.0]))
    rows = rig.rows
    tops = [o for o in rig.outputs if getattr(o, "phase", None) == "FLAT_TOP"]
    assert [o.energy for o in tops] == [140.0, 140.0, 120.0, 140.0]
    first = rows["start_tick"].reshape(4, 40)[:, 0]
    assert all(top.tick < tick for top, tick in zip(tops, first, strict=True))
    assert np.all(np.abs(rows["primary"] - make_map(layers=4)[1]["preset"]) <= 1)


@pytest.mark.requirement("TCS-IRRADIATE")
@pytest.mark.parametrize("seed", range(8))
def test_any_mixture_of_holds_trips_and_continuations_adds_up(seed: int) -> None:
    reference = whole().rows
    rng = np.random.default_rng(seed)
    total = np.zeros(len(reference), "<i8")
    second = np.zeros(len(reference), "<i8")
    weighted = np.zeros(len(reference))
    state = State.IDLE
    while state is not State.COMPLETE:
        rig = Rig()
        rig.load(done=total.copy())
        rig.core.start()
        for _ in range(3):
            rig.go(int(rng.integers(1, 3 * TICKS_PER_SECOND)), int(rng.integers(1_000_000, 9 * SLICE)))
            if rng.random() < 0.5 and rig.core.state in ACTIVE:
                rig.core.hold("operator")
            else:
                rig.good["rf"] = False
                rig.go(1)
                rig.good["rf"] = True
                rig.go(1)
            state = rig.run()
            if state is State.COMPLETE:
                break
            rig.core.reset("meier", ["therapist"])
            rig.core.resume()
        rig.core.hold("end of part")
        total += rig.rows["primary"]
        second += rig.rows["secondary"]
        weighted += rig.rows["primary"] * rig.rows["x"]
    np.testing.assert_array_equal(total, reference["primary"])
    np.testing.assert_array_equal(second, reference["secondary"])
    np.testing.assert_allclose(weighted / total, reference["x"], rtol=1e-5)


@pytest.mark.requirement("TCS-DOSE")
def test_the_beam_preset_ends_what_no_spot_preset_sees() -> None:
    rig = Rig(model=replace(MODEL, tolerance=dict.fromkeys(MODEL.tolerance, 1e9)))
    rig.load(layers=1, spots=100, preset=np.full(100, 100, "<i8"))
    rig.core.start()
    rig.core.fault("primary_low", 0.1)
    assert rig.run() is State.TRIPPED
    assert rig.trips()[0].input == "monitor.overdose"
    assert 1.05 * 10000 < rig.rows["secondary"].sum() < 1.07 * 10000


@pytest.mark.requirement("TCS-DOSE")
def test_machine_that_never_reaches_the_energy_is_a_trip() -> None:
    rig = Rig()
    rig.beam = type(rig.beam)(ready=False)
    rig.load()
    rig.core.start()
    assert rig.run() is State.TRIPPED
    assert rig.trips()[0].input == "energy.selection" and not rig.rows["primary"].any()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_terminate_is_final_and_states_refuse_what_does_not_fit() -> None:
    rig = Rig()
    with pytest.raises(Refused, match="allowed are load"):
        rig.core.start()
    rig.load()
    rig.core.start()
    with pytest.raises(Refused, match="not possible in state SWITCHING"):
        rig.load()
    rig.go(4 * TICKS_PER_SECOND)
    rig.core.terminate("operator")
    with pytest.raises(Refused):
        rig.core.resume()
    assert rig.core.state is State.TERMINATED
    assert rig.rows["primary"].any()


@pytest.mark.requirement("TCS-DOSE")
def test_no_beam_without_permit_or_with_stale_air() -> None:
    rig = Rig()
    rig.load()
    rig.core.drive("session.request", False)
    with pytest.raises(Refused, match=r"no beam permit: session\.request"):
        rig.core.start()
    rig.core.drive("session.request", True)
    rig.beam = type(rig.beam)(ready=True, k_tp=1.02)
    rig.go(1)
    with pytest.raises(Refused, match="drifted"):
        rig.core.start()


@pytest.mark.requirement("TCS-DOSE")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"x": np.full(120, np.nan)}, "not finite"),
        ({"y": np.zeros(3)}, "120"),
        ({"preset": np.zeros(120, "<i8")}, "presets"),
        ({"layer": np.full(120, 3, "<i4")}, "layers"),
        ({"energy": np.array([140.0, 120.0, 300.0])}, "no machine cycle for 300"),
        ({"done": np.full(120, 10, "<i8"), "resume": False}, "resume"),
        ({"done": np.full(120, 10**6, "<i8"), "resume": True}, "done"),
        ({"counts_per_mu": 1000.0}, "counts per MU"),
        ({"k_tp": float("nan")}, "k_tp"),
        ({"size_x": np.zeros(120)}, "sizes"),
        ({"preset": np.ones(120)}, "<i8"),
        ({"beam_number": True}, "beam_number"),
        ({"x": np.full(120, 1e4)}, "field"),
    ],
)
def test_a_map_that_cannot_be_right_is_refused(changes, why) -> None:
    rig = Rig()
    with pytest.raises(Refused, match=why):
        rig.load(**changes)
    assert rig.core.state is State.IDLE


def test_digest_is_over_the_arrays_in_their_order() -> None:
    body, arrays = make_map()
    spots = accept(body, arrays)
    assert spots.digest == digest_of(spots.arrays()) and len(spots.digest) == 64
    arrays["preset"][0] += 1
    assert accept(body, arrays).digest != spots.digest


def test_noise_belongs_to_the_spot() -> None:
    np.testing.assert_array_equal(normals(1, "p", 1, 50)[:20], normals(1, "p", 1, 20))
    assert not np.allclose(normals(1, "p", 1, 20), normals(1, "p", 2, 20))
    assert not np.allclose(normals(1, "p", 1, 20), normals(2, "p", 1, 20))
    z = normals(3, "p", 1, 20000)
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


def test_columns_are_what_the_wire_carries() -> None:
    names = columns(whole().rows)
    assert set(names) == {"primary", "secondary", "x", "y", "size_x", "size_y", "start_tick", "end_tick"}
