"""Garbage and slow senders at the gateway's ports: it goes on, nothing is written, no beam is tripped."""

import pytest

from benchmarks.fuzz_epics import fuzz
from tests.epics.epics_room import EpicsRoom


@pytest.mark.requirement("ACS-EPICS")
def test_garbage_neither_stops_the_gateway_nor_writes(epics_room: EpicsRoom) -> None:
    magnet = epics_room.proxy("acs/magnet/ring-quad-d")
    before = (magnet.CurrentSetpoint, magnet.state(), epics_room.inputs())
    report = fuzz(epics_room.state / "run" / "epics.json", messages=600, seed=3, slow_s=1.0)
    assert report["gets_after"] == {"pva": True, "ca": True}
    assert report["gets_beside_slow_senders"] == {"pva": True, "ca": True}
    assert not report["restarted"] and epics_room.processes["gateway"].poll() is None
    assert (magnet.CurrentSetpoint, magnet.state(), epics_room.inputs()) == before
    assert sum(report["sent"].values()) == 1200


@pytest.mark.requirement("ACS-EPICS")
def test_the_loss_of_the_gateway_trips_nothing_and_clients_find_the_next_at_the_same_ports(
    epics_room: EpicsRoom,
) -> None:
    inputs, ports = epics_room.inputs(), epics_room.run_file["pva_env"]
    process = epics_room.processes.pop("gateway")
    process.kill()
    process.wait()
    epics_room.start_server("gateway")
    epics_room.wait_exported(["crate/server/gateway"])
    assert epics_room.inputs() == inputs
    assert epics_room.run_file["pva_env"] == ports
    assert epics_room.client('say(ctx.get("PTCS:services/epics/1:State")["value.index"] in (10, 11))') == [
        True
    ]
