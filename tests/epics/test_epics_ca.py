"""Channel Access clients: pyepics (libca of EPICS base) and caproto's own, on the gateway."""

import pytest

from tests.epics.epics_room import EpicsRoom

QUAD = "PTCS:acs/magnet/ring-quad-f"


@pytest.mark.requirement("ACS-EPICS")
def test_channel_access_reads_with_units_limits_choices_and_severity(epics_room: EpicsRoom) -> None:
    code = f"""
pv = epics.PV("{QUAD}:CurrentSetpoint", form="ctrl")
assert pv.wait_for_connection(10)
say([pv.get(), pv.units, pv.lower_ctrl_limit, pv.upper_ctrl_limit, pv.precision, pv.severity, pv.type])
water = epics.PV("PTCS:acs/water/ring-circuit:Temperature", form="ctrl")
water.get()
say([water.severity, water.status, water.upper_warning_limit])
state = epics.PV("{QUAD}:State", form="ctrl")
say([state.get(as_string=True), list(state.enum_strs)])
say(epics.caget("{QUAD}:Status", as_string=True))
say(epics.caget("{QUAD}:Status.VAL$", as_string=True))
say(epics.caget("PTCS:central/timing/1:Energies") is not None)
beam = epics.PV("PTCS:room1/beam/nozzle:Beam")
say(beam.get(as_string=True))
"""
    number, water, state, status, long, energies, beam = epics_room.client(code, "ca")
    assert number[1:4] == ["A", 0.0, 500.0] and number[5] == 0 and "double" in number[6]
    assert water == [1, 4, 18.0]
    proxy = epics_room.proxy("acs/magnet/ring-quad-f")
    assert state[0] == str(proxy.state()) and "FAULT" in state[1]
    assert proxy.status().startswith(status) and long == proxy.status()
    assert energies and beam in ("False", "True")


@pytest.mark.requirement("ACS-EPICS")
def test_channel_access_monitors_and_puts_under_the_same_log_in(epics_room: EpicsRoom) -> None:
    token = epics_room.token("otto", "operator")
    code = f"""
seen, texts = [], []
def put(name, value):
    # libca tells a refused put to its exception handler only; a repeater would hold this client's pipes open
    from caproto.sync.client import write
    try:
        write(name, value, notify=True, timeout=10, repeater=False)
    except Exception as why:
        return str(why)
    return ""
setpoint = epics.PV("{QUAD}:CurrentSetpoint", callback=lambda value, **k: seen.append(value))
assert setpoint.wait_for_connection(10)
before = setpoint.get()
say(put("{QUAD}:CurrentSetpoint", 77.0))
say(put("PTCS:gateway:Login", {token!r}))
say(str(epics.caget("PTCS:gateway:Login", as_string=True)))
say(put("{QUAD}:CurrentSetpoint", 1e9))
say(put("{QUAD}:CurrentSetpoint", float("nan")))
say(setpoint.get(use_monitor=False) == before)
say(epics.caput("{QUAD}:On", 1, wait=True, timeout=10))
wait(lambda: epics.caget("{QUAD}:State") == 0)
say(setpoint.put(77.0, wait=True, timeout=10))
wait(lambda: seen and seen[-1] == 77.0)
say(put("PTCS:gateway:Login", b"\\0"))
"""
    said = epics_room.client(code, "ca")
    assert "not logged in" in said[0] and said[1] == "" and said[2] in ("", "None")
    assert "allowed are" in said[3] and "finite" in said[4] and said[5] is True
    assert said[6] == 1 and said[7] == 1 and said[8] == ""
    assert token not in (epics_room.state / "log" / "gateway.log").read_text()
