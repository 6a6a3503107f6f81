"""The device classes on in-memory drivers: values, State, refusals, jobs."""

import json
from typing import Any

import pytest
import tango
from bench import wait_until
from conftest import FakeFacility, refusal
from tango import AttrQuality, DevState

MAGNET = "acs/magnet/ring-quad-f"
COUCH = "room1/support/couch"
GANTRY = "room1/support/gantry"


def job_end(device: tango.DeviceProxy, job: str) -> dict[str, Any]:
    """The final status of a job."""
    wait_until(lambda: json.loads(device.JobStatus(job))["state"] in ("DONE", "FAILED"), "the job", 10)
    return dict(json.loads(device.JobStatus(job)))


@pytest.mark.requirement("ACS-POWER")
def test_a_supply_is_switched_set_and_reset(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    magnet = facility.proxy(MAGNET)
    magnet.Off()
    assert "send On first" in refusal(magnet.write_attribute, "CurrentSetpoint", 10.0).desc
    magnet.On()
    magnet.CurrentSetpoint = 120.0
    assert magnet.read_attribute("Current").value == pytest.approx(120.0)
    assert magnet.state() == DevState.ON and "120 A" in magnet.status()
    for wrong in (-1.0, 500.1):
        with pytest.raises(tango.DevFailed, match=r"m(in|ax)imum authorized"):
            magnet.write_attribute("CurrentSetpoint", wrong)
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(tango.DevFailed, match="NaN or INF"):
            magnet.write_attribute("CurrentSetpoint", wrong)
    facility.tell(f"drivers[{MAGNET!r}].values.update(fault=2.0)")
    assert magnet.state() == DevState.FAULT and "overtemperature" in magnet.status()
    assert magnet.FaultCode == 2
    refusal(magnet.On)
    magnet.Reset()
    assert magnet.state() == DevState.ON
    facility.tell(f"drivers[{MAGNET!r}].values.update(current=60.0)")
    assert magnet.state() == DevState.MOVING


@pytest.mark.requirement("ACS-VACUUM")
def test_values_outside_limits_alarm(facility: FakeFacility) -> None:
    gauge, water = facility.proxy("acs/vacuum/ring-gauge-1"), facility.proxy("acs/water/ring-circuit")
    facility.tell("drivers['acs/vacuum/ring-gauge-1'].values.update(pressure=2e-9)")
    facility.tell(
        "drivers['acs/water/ring-circuit'].values.update(flow=120.0, temperature=22.0, pressure=5.0)"
    )
    assert gauge.state() == DevState.ON and water.state() == DevState.ON
    facility.tell("drivers['acs/vacuum/ring-gauge-1'].values.update(pressure=1e-5)")
    facility.tell("drivers['acs/water/ring-circuit'].values.update(flow=20.0)")
    assert gauge.state() == DevState.ALARM and "1e-05 mbar" in gauge.status()
    assert water.state() == DevState.ALARM and "flow 20 l/min" in water.status()


@pytest.mark.requirement("ACS-WATER")
def test_alarm_levels_show_as_quality_and_state(facility: FakeFacility) -> None:
    water = facility.proxy("acs/water/ring-circuit")
    for value, quality, state in (
        (22.0, AttrQuality.ATTR_VALID, DevState.ON),
        (30.0, AttrQuality.ATTR_WARNING, DevState.ON),
        (33.0, AttrQuality.ATTR_ALARM, DevState.ALARM),
        (12.0, AttrQuality.ATTR_WARNING, DevState.ALARM),  # below the lower limit of 15 degC
    ):
        facility.tell(f"drivers['acs/water/ring-circuit'].values.update(flow=120.0, temperature={value})")
        assert water.read_attribute("Temperature").quality == quality, value
        assert water.state() == state, value


@pytest.mark.requirement("ACS-VACUUM")
def test_a_valve_opens_and_closes(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    valve = facility.proxy("acs/vacuum/hebt-valve-1")
    valve.Open()
    assert valve.state() == DevState.OPEN
    valve.Close()
    assert valve.state() == DevState.CLOSE
    facility.tell("drivers['acs/vacuum/hebt-valve-1'].values.update(position=0.5)")
    assert valve.state() == DevState.MOVING


@pytest.mark.requirement("TCS-COUCH")
def test_the_couch_moves_as_a_job_within_limits(facility: FakeFacility) -> None:
    facility.login("thea", "therapist")
    couch = facility.proxy(COUCH)
    done = job_end(couch, couch.MoveTo(json.dumps({"x": 12.0, "yaw": -30.0})))
    assert done == {"state": "DONE", "error": ""}
    assert pytest.approx(12.0) == couch.X and couch.Yaw == pytest.approx(-30.0)
    assert "allowed are -300 .. 300 mm" in refusal(couch.MoveTo, '{"x": 301}').desc
    assert "no axis 'w'" in refusal(couch.MoveTo, '{"w": 1}').desc
    for wrong in ("", "[]", "{}", '{"x": "1"}', '{"x": NaN}'):
        refusal(couch.MoveTo, wrong)
    refusal(couch.JobStatus, "no such job")


@pytest.mark.requirement("TCS-GANTRY")
def test_motion_is_refused_under_beam_and_stops(facility: FakeFacility) -> None:
    facility.login("thea", "therapist")
    gantry = facility.proxy(GANTRY)
    fake = f"drivers[{GANTRY!r}]"
    facility.tell(f"{fake}.beam_on = True")
    assert "beam is on" in refusal(gantry.MoveTo, 10.0).desc
    facility.tell(f"{fake}.beam_on = None")
    assert "unknown" in refusal(gantry.MoveTo, 10.0).desc
    facility.tell(f"{fake}.beam_on = False; {fake}.stuck = True")
    job = gantry.MoveTo(90.0)
    wait_until(lambda: gantry.state() == DevState.MOVING, "motion", 10)
    gantry.Stop()
    assert job_end(gantry, job) == {"state": "FAILED", "error": "stopped"}
    job = gantry.MoveTo(90.0)
    facility.tell(f"{fake}.beam_on = True")
    assert "beam came on" in job_end(gantry, job)["error"]
    facility.tell(f"{fake}.beam_on = False; {fake}.stuck = False")
    assert job_end(gantry, gantry.MoveTo(45.0))["state"] == "DONE"
    assert gantry.Angle == pytest.approx(45.0)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_the_interlock_shows_trips_and_passes_who_resets(facility: FakeFacility) -> None:
    interlock = facility.proxy("central/interlock/1")
    fake = "drivers['central/interlock/1']"
    assert interlock.Permit and not interlock.Tripped and interlock.FirstFault == ""
    assert interlock.Inputs == ("vacuum=OK", "water=UNKNOWN")
    bad = "{'ok': False, 'latched': True, 'masked': False}"
    facility.tell(f"{fake}.inputs['vacuum'] = {bad}; {fake}.values.update(tripped=1.0)")
    facility.tell(f"{fake}.trip = {{'input': 'vacuum', 'tick': 7}}")
    assert interlock.state() == DevState.ALARM and interlock.FirstFault == "vacuum"
    assert not interlock.Permit and interlock.Tripped and "vacuum=BAD" in interlock.Inputs
    assert json.loads(interlock.LastTrip) == {"input": "vacuum", "tick": 7}
    facility.login("otto", "operator", "service")
    assert "still bad" in refusal(interlock.ResetTrips).desc
    facility.tell(f"{fake}.inputs['vacuum']['ok'] = True")
    assert "vacuum=LATCHED" in interlock.Inputs
    interlock.ResetTrips()
    assert interlock.state() == DevState.ON and interlock.Permit
    facility.tell(f"assert {fake}.asked[-1] == ['reset', 'otto', ['operator', 'service']]")
    interlock.Mask(json.dumps({"name": "water", "reason": "pump exchange", "seconds": 60}))
    assert "water=MASKED" in interlock.Inputs
    interlock.Unmask("water")
    refusal(interlock.Mask, json.dumps({"name": "water", "reason": "", "seconds": 60}))
    refusal(interlock.Mask, json.dumps({"name": "water", "reason": "x", "seconds": 1e9}))
    interlock.SetInput('{"name": "room1.search", "ok": true}')
    assert "room1.search=OK" in interlock.Inputs
    refusal(interlock.SetInput, '{"name": "room1.search", "ok": 1}')


@pytest.mark.requirement("ACS-TIMING")
def test_the_timing_device_loads_cycles_and_names_the_phase(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    timing = facility.proxy("central/timing/1")
    timing.LoadCycles([70.0, 120.5])
    assert list(timing.Energies) == [70.0, 120.5] and timing.ClockFactor == 10.0
    for wrong in ([-1.0], [float("nan")], [1.0] * 2049):
        refusal(timing.LoadCycles, wrong)
    facility.tell("drivers['central/timing/1'].values.update(phase=3.0, energy=120.5, tick=5e9)")
    assert timing.CyclePhase == "FLAT_TOP" and timing.CycleEnergy == 120.5 and timing.Tick == 5_000_000_000
    assert timing.state() == DevState.RUNNING


@pytest.mark.requirement("ACS-TIMING")
def test_the_timing_device_shows_what_is_wrong_by_name_and_passes_changes_on(facility: FakeFacility) -> None:
    timing = facility.proxy("central/timing/1")
    pulser = '{"ring/rf-capture": {"delay": 5}}'
    assert refusal(timing.write_attribute, "Pulsers", pulser).origin == "authority"
    facility.login("otto", "operator")
    stopped = {"stage": "armed", "mode": "retrigger", "steps": 3}
    cause = {"cause": "sequencer stopped", "where": "", "text": "the sequencer has stopped"}
    shown = {"heartbeat": True, "accelerator": "proton:100.00:nominal:room1", "sequencers": [stopped] * 2}
    shown |= {"diagnosis": [], "findings": [], "pulsers": {"ring/rf-capture": {"delay": 4}}}
    facility.tell(f"drivers['central/timing/1'].shown = {shown!r}")
    assert timing.Heartbeat and timing.Armed and not timing.Running and list(timing.Mode) == ["retrigger"] * 2
    assert timing.CycleId == "proton:100.00:nominal:room1" and timing.state() != DevState.ALARM
    assert json.loads(timing.Pulsers) == shown["pulsers"]
    facility.tell(f"drivers['central/timing/1'].shown = {shown | {'diagnosis': [cause]}!r}")
    assert timing.state() == DevState.ALARM and "has stopped" in timing.status()
    assert json.loads(timing.Diagnosis[0]) == cause
    timing.Pulsers = pulser
    timing.SetSequencer('{"sequencer": 1, "arm": false}')
    told = "[{'pulser': 'ring/rf-capture', 'delay': 5}, {'sequencer': 1, 'arm': False}]"
    facility.tell(f"assert list(drivers['central/timing/1'].changes) == {told}, 'not told'")
    for wrong in ("[]", "{}", '{"a": 1}', '{"a": {"clear": true}}', "NaN", '{"a": {}, "b": {}}'):
        refusal(timing.write_attribute, "Pulsers", wrong)
    for wrong in ("{}", '{"sequencer": 1}', '{"sequencer": 1, "steps": [], "length": 1, "arm": true}'):
        refusal(timing.LoadSequence, wrong)
    facility.tell("drivers['central/timing/1'].shown = {}")


@pytest.mark.requirement("TCS-ROOMS")
def test_the_beam_goes_to_one_room_at_a_time(facility: FakeFacility) -> None:
    facility.login("otto", "operator")
    allocation = facility.proxy("central/beam/allocation")
    allocation.Request("room1")
    allocation.Request("room1")
    assert allocation.Owner == "room1" and not allocation.Queue
    assert "allowed are room1" in refusal(allocation.Request, "room9").desc
    facility.tell("drivers['central/beam/allocation'].values.update(beam=1.0)")
    assert "beam is on" in refusal(allocation.Release, "room1").desc
    facility.tell("drivers['central/beam/allocation'].values.update(beam=0.0)")
    allocation.Init()
    assert allocation.Owner == "room1"
    allocation.Release("room1")
    assert allocation.Owner == ""
    refusal(allocation.Release, "room1")


@pytest.mark.requirement("ACS-MONITOR")
def test_a_lost_link_makes_everything_unknown_and_no_value_good(facility: FakeFacility) -> None:
    names = ["acs/magnet/hebt-quad-1", COUCH, "room1/environment/station", "central/interlock/1"]
    facility.tell(f"[setattr(drivers[n], 'link_up', False) for n in {names}]")
    try:
        for name in names:
            device = facility.proxy(name)
            assert device.state() == DevState.UNKNOWN, name
            assert "no link" in device.status()
            valid = {"State", "Status", "LastTrip", "FirstFault", "AdminMode", "HealthState"}
            for attribute in set(device.get_attribute_list()) - valid:
                assert device.read_attribute(attribute).quality == AttrQuality.ATTR_INVALID, attribute
        facility.login("otto", "operator")
        with pytest.raises(tango.DevFailed) as caught:
            facility.proxy(names[0]).On()
        assert caught.value.args[0].reason == "LinkLost"
    finally:
        facility.tell(f"[setattr(drivers[n], 'link_up', True) for n in {names}]")
    assert facility.proxy(names[0]).state() != DevState.UNKNOWN
