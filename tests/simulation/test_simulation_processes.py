"""Plant and fpga as processes: watchdogs, kills, restarts, instrument lines, two side by side."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rig_fpga import MODEL, Rig, make_map
from rig_process import WATCHED, Hardware, wait_for

from common.errors import Refused
from common.files import write_atomic
from simulation.fpga.retained import Retained, Status, create
from simulation.fpga.rows import blank
from simulation.fpga.spotmap import accept
from simulation.fpga.states import State


@pytest.fixture
def hardware(tmp_path: Path) -> Iterator[Callable[..., Hardware]]:
    made: list[Hardware] = []

    def make(name: str = "state", seed: int = 7) -> Hardware:
        state = tmp_path / name
        state.mkdir()
        made.append(Hardware(state, seed))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def reference(seed: int = 7, **kwargs) -> np.ndarray:
    rig = Rig(seed)
    rig.load(**kwargs)
    rig.core.start()
    assert rig.run() is State.COMPLETE
    return rig.rows


@pytest.mark.requirement("SYS-LOOP")
def test_a_delivery_interrupted_by_command_and_by_kill_is_exact(hardware) -> None:
    machine = hardware()
    machine.up()
    digest = machine.load(spots=150)
    assert machine.ask("read_map").body["digest"] == digest
    machine.ask("start")
    machine.wait_state("DELIVERING")
    machine.ask("hold", cause="operator")
    machine.wait_state("HELD")
    held = machine.ask("read_counters")
    machine.ask("resume")
    wait_for(
        lambda: machine.ask("read_counters").arrays["primary"].sum() > held.arrays["primary"].sum() + 30000
    )
    machine.kill("fpga")
    told = {
        int(i): int(p)
        for f in machine.named("spots")
        for i, p in zip(f.arrays["index"], f.arrays["primary"], strict=True)
    }
    port = machine.run_file("fpga")["port"]
    machine.start("fpga")
    assert machine.run_file("fpga")["port"] == port
    wait_for(lambda: all(machine.clients[name].alive for name in WATCHED))
    after = machine.ask("read_counters")
    assert after.body["state"] == "TRIPPED" and after.body["cause"] == "fpga restarted"
    assert after.body["digest"] == digest
    assert after.body["origin_wall_ns"] == held.body["origin_wall_ns"]
    assert all(after.arrays["primary"][i] >= primary for i, primary in told.items())
    with pytest.raises(Refused, match="not possible in state TRIPPED"):
        machine.ask("resume")
    machine.ready()
    assert machine.state_name() == "HELD"
    machine.ask("resume")
    machine.finish()
    rows, expected = machine.ask("read_counters").arrays, reference(spots=150)
    for name in ("primary", "secondary", "x", "y", "size_x", "size_y"):
        np.testing.assert_allclose(rows[name], expected[name], rtol=1e-5, err_msg=name)
    machine.ask("unload")
    with pytest.raises(Refused, match="no map"):
        machine.ask("read_counters")
    assert not (machine.state / "fpga" / "counters.bin").exists()


@pytest.mark.requirement("ACS-INTERLOCK")
@pytest.mark.parametrize("loss", ["closed", "silent"])
def test_a_watched_client_that_is_lost_trips(hardware, loss: str) -> None:
    machine = hardware()
    machine.up()
    machine.load(spots=400)
    machine.ask("start")
    machine.wait_state("DELIVERING")
    lost = machine.clients["nozzle"]
    if loss == "closed":
        lost.close()
    else:
        object.__setattr__(lost.peer, "healthy", lambda: False)
    (trip,) = wait_for(lambda: machine.named("trip"))
    assert trip.body["input"] == "watchdog.nozzle"
    assert 0 <= trip.body["beam_off_tick"] - trip.body["tick"] <= MODEL.fast_off
    frozen = machine.ask("read_counters").arrays
    assert frozen["start_tick"].max() < trip.body["tick"]
    assert frozen["end_tick"].max() <= trip.body["beam_off_tick"]
    status = machine.ask("status").body
    assert status["state"] == "TRIPPED" and status["first_fault"]["input"] == "watchdog.nozzle"
    assert status["inputs"]["watchdog.nozzle"] == {"ok": False, "latched": True, "masked": False}
    assert not status["permit"]["extraction"]
    np.testing.assert_array_equal(machine.ask("read_counters").arrays["primary"], frozen["primary"])


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_plant_that_is_killed_trips_and_is_found_again(hardware) -> None:
    machine = hardware()
    machine.up()
    operator = machine.clients["operator"]
    operator.request({"do": "move", "device": "room1-couch", "target": {"x": 5.0}})
    wait_for(lambda: machine.plant()["room1-couch.x"] == 5.0)
    machine.ready()
    machine.load(spots=150)
    machine.ask("start")
    machine.wait_state("DELIVERING")
    machine.kill("plant")
    (trip,) = wait_for(lambda: machine.named("trip"))
    assert trip.body["input"] == "link.plant"
    assert machine.ask("status").body["first_fault"]["input"] == "link.plant"
    machine.start("plant")
    wait_for(lambda: machine.ask("status").body["inputs"]["link.plant"]["ok"])
    assert machine.state_name() == "TRIPPED"
    wait_for(lambda: operator.alive and machine.plant()["ok.source"] == 1.0)
    assert machine.plant()["room1-couch.x"] == 5.0 and machine.plant()["ok.magnets"] == 1.0
    machine.ready()
    machine.ask("resume")
    machine.finish()
    np.testing.assert_array_equal(
        machine.ask("read_counters").arrays["primary"], reference(spots=150)["primary"]
    )


@pytest.mark.requirement("ACS-POWER")
def test_a_magnet_fault_in_the_plant_reaches_the_beam(hardware) -> None:
    machine = hardware()
    machine.up()
    machine.load(spots=400)
    machine.ask("start")
    machine.wait_state("DELIVERING")
    machine.clients["operator"].request({"do": "fault", "device": "hebt-dipole-1", "kind": "overtemperature"})
    (trip,) = wait_for(lambda: machine.named("trip"))
    assert trip.body["input"] == "magnets"


@pytest.mark.requirement("SYS-LOOP")
def test_two_side_by_side_give_the_same_counts_and_one_state_takes_one(hardware) -> None:
    machines = [hardware("a"), hardware("b")]
    for machine in machines:
        machine.up()
    for machine in machines:
        machine.load()
        machine.ask("start")
    counters = []
    for machine in machines:
        machine.finish()
        counters.append(machine.ask("read_counters").arrays)
        assert len(machine.named("spots")) > 0
    np.testing.assert_array_equal(counters[0]["primary"], counters[1]["primary"])
    np.testing.assert_allclose(counters[0]["x"], counters[1]["x"], rtol=1e-5)
    command = [sys.executable, "-m", "simulation.fpga", "--state", str(machines[0].state)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode != 0 and "runs already" in second.stderr
    assert machines[0].run_file("fpga")["pid"] == machines[0].processes["fpga"].pid


@pytest.mark.requirement("ACS-TIMING")
def test_stepped_ticks_move_by_command_only(hardware) -> None:
    machine = hardware()
    machine.up("--stepped")
    machine.load(spots=20)
    machine.ask("start")
    tick = machine.ask("status").body["tick"]
    assert machine.ask("status").body["tick"] == tick
    assert machine.ask("step", ticks=1000).body["tick"] == tick + 1000
    with pytest.raises(Refused, match="whole number"):
        machine.ask("step", ticks=0.5)
    for _ in range(400):
        machine.ask("step", ticks=25_000_000)
        status = machine.ask("status").body
        if status["state"] == "COMPLETE":
            break
        time.sleep(0.02)  # the plant follows in wall time
    assert status["state"] == "COMPLETE", status["cause"]


@pytest.mark.requirement("TCS-DISPLAY")
def test_instrument_lines_answer(hardware) -> None:
    machine = hardware()
    machine.start("plant")
    port = machine.run_file("plant")["environment_port"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link, link.makefile("rwb") as lines:
        lines.write(b"MEAS:TEMP?\r\nMEAS:PRES?\nNONSENSE\n*IDN?\n")
        lines.flush()
        assert 20 < float(lines.readline()) < 25
        assert 990 < float(lines.readline()) < 1015
        assert lines.readline().startswith(b"-113")
        assert b"ENVIRONMENT" in lines.readline()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
        link.sendall(b"\xff" * 3000)
        assert link.recv(10) == b""


@pytest.mark.requirement("SYS-ACCESS")
def test_garbage_on_the_wire_closes_that_link_only(hardware) -> None:
    machine = hardware()
    machine.start("plant")
    client = machine.connect("plant", "operator")
    with socket.create_connection(("127.0.0.1", machine.run_file("plant")["port"]), timeout=5) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(100))
        while link.recv(1 << 16):
            pass
    with pytest.raises(Refused, match="unknown verb 'dance'"):
        client.request({"do": "dance"})
    assert "ring-dipole" in client.request({"do": "faults"}).body["faults"]


@pytest.mark.requirement("SYS-LOOP")
def test_clean_stop_removes_the_run_file(hardware) -> None:
    machine = hardware()
    machine.start("plant")
    machine.start("fpga")
    machine.connect("plant", "operator").request({"do": "on", "device": "ring-dipole"})
    for name in ("fpga", "plant"):
        machine.kill(name, signal.SIGTERM)
        assert machine.run_file(name) == {}
        assert machine.processes[name].returncode == 0
    memory = json.loads((machine.state / "plant" / "memory.json").read_text())
    assert memory["ring-dipole"]["on"] is False


@pytest.mark.requirement("TCS-RECORD")
def test_a_torn_slice_leaves_the_one_before(tmp_path: Path) -> None:
    spots = accept(*make_map())
    rows = blank(spots.count)
    path = tmp_path / "counters.bin"
    memory = create(path, spots, rows, Status(5, State.LOADED, ""), 123)
    rows["primary"][10:20] = 7
    memory.store(rows, (10, 20), Status(9, State.DELIVERING, ""))
    whole = path.read_bytes()
    rows["primary"][10:30] = 8
    memory.store(rows, (10, 30), Status(11, State.HELD, "operator"))
    memory.close()
    later = path.read_bytes()
    differing = [i for i in range(len(whole)) if whole[i] != later[i]]
    # The process may die after any byte: the log is written first, then rows and status.
    log_start = min(i for i in differing if i >= len(whole) - 12 - 128 - 64 * spots.count)
    in_log = [i for i in differing if i >= log_start]
    for cut in (*in_log[:: max(len(in_log) // 25, 1)], None):
        torn = bytearray(whole)
        for i in in_log:
            if cut is not None and i >= cut:
                break
            torn[i] = later[i]
        write_atomic(path, bytes(torn))
        memory = Retained(path)
        kept = memory.load()
        memory.close()
        expected = (8, State.HELD) if cut is None else (7, State.DELIVERING)
        assert (kept.rows["primary"][15], kept.status.state) == expected
    assert kept.status.cause == "operator" and kept.rows["primary"][25] == 8
    assert kept.spots.digest == spots.digest and kept.origin_wall_ns == 123
