"""Gas in a network of volumes: pumps, valves, leaks, and what gauges make of it."""

import numpy as np
import pytest
from rig_bench import Bench, device

from common.errors import Refused
from simulation.plant.vacuum_network import AIR_MBAR, VacuumNetwork

GAUGE = {"volume_l": 50.0, "base_mbar": 1e-9}


def line() -> Bench:
    """Three volumes in a row with a valve between each two, a turbo and an ion pump on each."""
    devices = []
    for name in ("left", "middle", "right"):
        devices += [
            device("VacuumGauge", f"{name}-gauge", {"pressure": (0, 1e-6)}, volume=name, **GAUGE),
            device("IonPump", f"{name}-ion", volume=name, speed_l_s=100.0),
            device("TurboPump", f"{name}-turbo", volume=name, speed_l_s=300.0, run_up_s=60.0),
        ]
    devices += [
        device("SectorValve", "valve-1", between=["left", "middle"], travel_s=0.5),
        device("SectorValve", "valve-2", between=["middle", "right"], travel_s=0.5),
    ]
    bench = Bench(*devices)
    bench.go(5)
    return bench


@pytest.mark.requirement("ACS-VACUUM")
def test_network_agrees_with_the_analytic_solution_whatever_the_step() -> None:
    for steps, tolerance in ((2000, 1e-3), (40, 6e-2)):
        net = VacuumNetwork(["a"], np.array([50.0]), np.array([1e-9]))
        net.pressure, net.nominal, net.speed = np.array([1e-5]), np.array([10.0]), np.array([10.0])
        for _ in range(steps):
            net.step(10.0 / steps)
        assert net.pressure[0] == pytest.approx(1e-9 + (1e-5 - 1e-9) * np.exp(-2.0), rel=tolerance)
    net.step(1e6)
    assert net.pressure[0] == pytest.approx(1e-9, rel=1e-2)


@pytest.mark.requirement("ACS-VACUUM")
def test_gas_is_kept_between_two_volumes_without_pumps() -> None:
    net = VacuumNetwork(["a", "b"], np.array([10.0, 30.0]), np.array([1e-9, 1e-9]))
    net.pressure = np.array([1e-3, 1e-7])
    net.conductance[:] = [[0.0, 100.0], [100.0, 0.0]]
    before = float(net.litres @ net.pressure)
    for _ in range(200):
        net.step(0.05)
        assert net.litres @ net.pressure == pytest.approx(before, rel=1e-9)
    assert net.pressure[0] == pytest.approx(net.pressure[1], rel=1e-6)


@pytest.mark.requirement("ACS-VACUUM")
def test_pump_down_from_air_is_fast_first_and_then_as_one_over_time() -> None:
    bench = line()
    bench.fault("middle-gauge", "inrush")
    bench.go(60)
    assert bench["middle-gauge.pressure"] > 300 and bench["middle-ion.on"] == 0
    assert bench["middle-ion.fault"] == 1 and bench["middle-turbo.speed"] < 500
    bench.clear("middle-gauge")
    full = bench["middle-gauge.pressure"]
    bench.go(20)
    rough = bench["middle-gauge.pressure"]
    bench.go(580, 0.5)
    ten = bench["middle-gauge.pressure"]
    bench.go(5400, 5.0)
    hundred = bench["middle-gauge.pressure"]
    assert rough == pytest.approx(full * np.exp(-20 * 5 / 50), rel=0.1)  # fore pump of 5 l/s on 50 l
    assert ten < 1e-4
    assert 5 < ten / hundred < 20  # ten times later a tenth of the pressure: walls give off water as 1/t
    bench.do("reset", "middle-ion")
    bench.do("on", "middle-ion")
    bench.go(1)
    assert bench["middle-ion.on"] == 1 and bench["middle-ion.ok"] == 1
    assert bench["middle-ion.pressure"] == pytest.approx(bench["middle-gauge.pressure"], rel=0.2)


@pytest.mark.requirement("ACS-VACUUM")
def test_only_the_valves_of_a_bad_volume_close_and_the_others_keep_their_vacuum() -> None:
    bench = line()
    for valve in ("valve-1", "valve-2"):
        bench.do("open", valve)
    bench.go(2)
    assert bench["valve-1.position"] == bench["valve-2.position"] == 1.0
    bench.fault("left-gauge", "inrush")
    bench.go(5)
    assert bench["valve-1.position"] == bench["valve-2.position"] == 0.0 and bench["left-gauge.ok"] == 0
    bench = line()
    bench.do("open", "valve-2")
    bench.fault("left-gauge", "inrush")
    bench.go(120, 0.2)
    assert bench["left-gauge.pressure"] > 100 and bench["right-gauge.pressure"] < 1e-6
    assert bench["valve-2.position"] == 1.0 and bench["valve-2.ok"] == 1
    with pytest.raises(Refused, match="vacuum is bad"):
        bench.do("open", "valve-1")


@pytest.mark.requirement("ACS-VACUUM")
def test_a_lost_gauge_closes_its_valves_and_a_pump_that_is_off_lets_the_pressure_rise() -> None:
    bench = line()
    bench.do("open", "valve-2")
    bench.go(1)
    bench.fault("right-gauge", "gauge")
    bench.go(1)
    assert np.isnan(bench["right-gauge.pressure"]) and bench["valve-2.position"] == 0.0
    before = bench["left-gauge.pressure"]
    bench.do("off", "left-ion")
    bench.do("off", "left-turbo")
    bench.go(300, 0.5)
    assert bench["left-gauge.pressure"] > 3 * before and bench["left-turbo.ok"] == 0
    assert np.isnan(bench["left-ion.pressure"]) and bench["left-ion.current"] == 0.0


@pytest.mark.requirement("ACS-VACUUM")
def test_a_sensor_that_lies_hides_the_leak_and_a_reading_stays_within_its_range() -> None:
    bench = line()
    bench.fault("left-gauge", "frozen")
    shown = bench["left-gauge.pressure"]
    bench.fault("left-gauge", "leak")
    bench.go(20)
    assert bench["left-gauge.pressure"] == shown and bench["left-ion.pressure"] > 2 * shown
    bench.clear("left-gauge")
    bench.fault("left-gauge", "inrush")
    bench.go(400, 1.0)
    assert bench["left-gauge.pressure"] <= AIR_MBAR * 1.1
