"""Measurements on a real facility: processes, Tango, sessions, beam of the real beam hardware."""

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest
import tango

from common.errors import LinkLost, Refused, Unauthorised
from ptcs.commissioning.beam import RoomBeam, Spot
from ptcs.commissioning.fits.bragg import fit_peak
from ptcs.commissioning.instruments import collect
from ptcs.commissioning.machine import bring_to_beam
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plan import Settle, scan
from ptcs.commissioning.store import Store
from ptcs.commissioning.tango_bench import TangoBench, site_of
from ptcs.demo.place import Place
from tests.commissioning.facility import PATIENCE_S, Facility

TRIM = "acs/magnet/hebt-dipole-1/CurrentTrim"
SPOT = ("room1/beam/nozzle/SpotX", "room1/beam/nozzle/SpotY")
PHYSICS = "room1/beam/physics"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.requirement("ACS-COMMISSION"),
    pytest.mark.skipif(
        not os.environ.get("PTCS_FACILITY"), reason="a whole facility: ./run commission-campaign"
    ),
]


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    facility = Facility(tmp_path_factory.mktemp("facility"))
    try:
        facility.up()
        yield facility
    finally:
        facility.close()


@pytest.fixture(scope="module")
def bench(facility: Facility) -> TangoBench:
    bench = facility.login()
    bring_to_beam(bench, Place(facility.state))
    return bench


def test_names_values_and_limits_are_those_of_the_devices(facility: Facility, bench: TangoBench) -> None:
    assert site_of(facility.state).name == "demo"
    assert bench.limits(TRIM) == (-40.0, 40.0)
    assert bench.limits("acs/diag/ring-dcct/Current") is None
    read = bench.read([TRIM, "room1/environment/station/Temperature", "central/interlock/1/Tripped"])
    assert read.values[0] == 0.0 and 10.0 < read.values[1] < 40.0 and (read.times > 1e9).all()
    with pytest.raises(Refused, match="above the maximum"):
        bench.write(TRIM, 41.0)
    with pytest.raises(LinkLost):
        bench.read(["acs/magnet/nowhere/Current"])
    with pytest.raises(LinkLost, match="no facility"):
        site_of(facility.state / "nothing")


def test_a_corrector_is_scanned_against_the_spot_and_dose_is_measured(
    facility: Facility, bench: TangoBench
) -> None:
    store = Store(facility.state)
    layers, reference = "room1/dosimetry/layers", "room1/dosimetry/reference"
    with RoomBeam(bench, "room1") as beam:
        for instrument in (layers, reference):
            collect(bench, instrument)
        seen = beam.deliver([150.0], [Spot(0, 0.0, 0.0, 1.0)] * 5, PATIENCE_S)
        assert seen.primary.sum() * seen.k_tp / 20000.0 == pytest.approx(5.0, rel=1e-3)
        bench.pause(2.0)
        depth, charge = bench.spectrum(f"{layers}/Depth"), bench.spectrum(f"{layers}/Layers")
        assert fit_peak(depth, charge).r80 == pytest.approx(158.1, abs=0.5)
        assert bench.read([f"{reference}/Charge"]).values[0] == pytest.approx(13.1, rel=0.05)
        beam.steady(150.0)
        session = Session(bench, store, lost=beam.revive)
        plan = scan("trim", TRIM, [-0.04, 0.04], SPOT, samples=6, settle=Settle(0.5, (TRIM,), 1e-3),
                    patience_s=PATIENCE_S, changing=SPOT)  # fmt: skip
        measured = session.run(plan)
    x = measured.mean()[:, 0]
    assert x[1] - x[0] == pytest.approx(0.68, abs=0.35)  # 4712 mm x 0.08 A / 552 A
    assert bench.read([TRIM]).values[0] == 0.0 and store.pending() == []
    assert bench.text(f"{PHYSICS}/Digest") == "" and beam.state() == "IDLE"


def test_beam_is_for_those_who_may_and_for_maps_that_the_machine_has(
    facility: Facility, bench: TangoBench
) -> None:
    def load(energy: float, x: float = 0.0) -> None:
        spots = [[0, x, 0.0, 1.0, 4.0]]
        bench.command(PHYSICS, "Load", json.dumps({"energy": [energy], "spots": spots, "k_tp": 1.0}))

    with pytest.raises(Refused, match=r"nearest: 151\.60 MeV"):
        load(151.0)
    with pytest.raises(Refused, match="outside the limits"):
        load(150.0, 500.0)
    with pytest.raises(Refused, match="no map of this device"):
        bench.command(PHYSICS, "Start")
    with pytest.raises(Refused, match="table of numbers"):
        bench.command(PHYSICS, "Load", '{"energy": [150.0], "spots": [], "k_tp": 1.0}')
    other = facility.login("phil", "physician")
    try:
        with pytest.raises(Unauthorised):
            other.write(TRIM, 0.1)
        with pytest.raises(Unauthorised):
            other.command(PHYSICS, "Ask")
        with pytest.raises(Unauthorised):
            Session(other, Store(facility.state)).run(scan("not mine", TRIM, [0.1], SPOT[:1], samples=1))
    finally:
        facility.login()
    assert np.isfinite(bench.read([TRIM]).values).all() and bench.read([TRIM]).values[0] == 0.0


def test_a_server_that_dies_amid_a_scan_leaves_the_setting_to_be_put_back(facility: Facility) -> None:
    bench, store = facility.login(), Store(facility.state)
    session = Session(bench, store, watch=[lambda measured: facility.stop("accelerator") and None])
    plan = scan("dies", TRIM, [0.02, 0.03], ("acs/diag/ring-dcct/Current",), samples=2)
    with pytest.raises((LinkLost, tango.DevFailed)):
        session.run(plan)
    (note,) = store.orphans()
    assert note.settings == {TRIM: 0.0}
