"""Modbus: the map, asked by a client that is not ours, and bytes that are none; `ptcs fault` beside it."""

import json
import random
import socket
import struct
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from pymodbus.client import ModbusTcpClient
from rig_bench import Bench, device

from common import site
from common.errors import BadInput
from common.links.wire import Peer, WireClient, block_values
from common.wire.frame import Frame
from ptcs.cli import main
from simulation.plant.modbus import ModbusDecoder, ModbusMap

SYNCHROTRON = site.CONFIG / "synchrotron.yaml"
UNITS = [d for d in site.load(SYNCHROTRON).devices if d.tango_class in ("WaterPump", "Chiller")]


def small() -> Bench:
    return Bench(
        device("WaterPump", "pump", head_bar=6.0, flow_l_min=150.0),
        device("Chiller", "chiller", {"temperature": (12, 25)}, capacity_kw=60.0, nominal=20.0),
    )


def floats(answer: bytes) -> tuple[float, ...]:
    return struct.unpack(">5f", answer[2:])


@pytest.mark.requirement("ACS-WATER")
def test_registers_and_coils_are_as_the_contract_lists_them() -> None:
    bench = small()
    bench.go(1)
    units = ModbusMap(bench.plant)
    pump = floats(units.answer(1, bytes.fromhex("03 0000 000a")))
    assert pump[:2] == pytest.approx((150.0, 6.0), rel=0.02)
    assert pump[2] == pytest.approx(2900) and pump[3:] == (1.0, 0.0)
    part = units.answer(2, bytes.fromhex("03 0002 0002"))
    assert struct.unpack(">f", part[2:]) == (20.0,)
    write = bytes.fromhex("10 0002 0002 04") + struct.pack(">f", 15.5)
    assert units.answer(2, write) == write[:5] and bench.reading("chiller", "setpoint") == 20.0
    bench.go(0.1)
    assert bench.reading("chiller", "setpoint") == 15.5
    assert units.answer(1, bytes.fromhex("05 0000 0000")) == bytes.fromhex("05 0000 0000")
    bench.go(0.1)
    assert bench.reading("pump", "on") == 0.0
    bench.fault("pump", "motor")
    assert units.answer(1, bytes.fromhex("05 0000 ff00")) == b"\x85\x04"
    assert units.answer(1, bytes.fromhex("05 0001 ff00")) == b"\x85\x04"
    bench.clear("pump")
    assert units.answer(1, bytes.fromhex("05 0001 ff00"))[0] == 5
    assert units.answer(1, bytes.fromhex("05 0000 ff00"))[0] == 5
    bench.go(0.1)
    assert bench.reading("pump", "on") == 1.0


@pytest.mark.requirement("SYS-SECURITY")
@pytest.mark.parametrize(
    ("unit", "request_hex", "code"),
    [
        (3, "03 0000 000a", 11),
        (0, "03 0000 000a", 11),
        (1, "03 0001 000a", 2),
        (1, "03 0000 0000", 3),
        (1, "03 0000", 3),
        (1, "03 0000 ffff", 3),
        (1, "2b", 1),
        (1, "05 0007 ff00", 2),
        (1, "05 0000 1234", 3),
        (1, "10 0002 0002 04 41a00000", 2),
        (2, "10 0002 0002 04 7fc00000", 3),
        (2, "10 0002 0002 04 42c80000", 3),
        (2, "10 0002 0002 03 42c800", 3),
        (2, "10 0000 0002 04 41a00000", 2),
    ],
)
def test_what_cannot_be_done_is_an_exception_and_changes_nothing(unit, request_hex, code) -> None:
    bench = small()
    before = bench.plant.memory()
    request = bytes.fromhex(request_hex)
    assert ModbusMap(bench.plant).answer(unit, request) == bytes((request[0] | 0x80, code))
    assert bench.plant.memory() == before


@pytest.mark.requirement("SYS-SECURITY")
def test_any_bytes_are_frames_or_are_refused() -> None:
    rng = random.Random(11)
    bench = small()
    units = ModbusMap(bench.plant)
    dropped = answered = 0
    for _ in range(20000):
        decoder = ModbusDecoder()
        whole = struct.pack(">HHHB", rng.randrange(65536), 0, 6, rng.randrange(4)) + rng.randbytes(5)
        data = rng.choice(
            [rng.randbytes(rng.randrange(40)), whole, whole[: rng.randrange(12)], whole + whole]
        )
        try:
            for _transaction, unit, request in decoder.feed(data):
                answer = units.answer(unit, request)
                assert answer[0] & 0x7F == request[0] & 0x7F and len(answer) <= 253
                answered += 1
        except BadInput:
            dropped += 1
    assert dropped > 2000 and answered > 5000
    bench.go(1)
    assert 12 <= bench.reading("chiller", "setpoint") <= 25


@pytest.fixture(scope="module")
def centre(tmp_path_factory):
    """The plant's process with the synchrotron centre."""
    state = tmp_path_factory.mktemp("plant")
    command = [sys.executable, "-m", "simulation.plant", "--state", str(state), "--site", str(SYNCHROTRON)]
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    run_file = state / "run" / "plant.json"
    end = time.monotonic() + 30
    while not run_file.exists():
        assert process.poll() is None and time.monotonic() < end, (state / "log").read_text()
        time.sleep(0.05)
    yield state, json.loads(run_file.read_text())
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.requirement("ACS-WATER")
def test_a_client_that_is_not_ours_reads_and_writes(centre) -> None:
    _, ports = centre
    client = ModbusTcpClient("127.0.0.1", port=ports["modbus_port"], timeout=3)
    assert client.connect()
    try:
        for number, unit in enumerate(UNITS, start=1):
            registers = client.read_holding_registers(0, count=10, device_id=number).registers
            values = struct.unpack(">5f", struct.pack(">10H", *registers))
            assert values[3] == 1.0 and values[4] == 0.0, unit.name
            if unit.tango_class == "Chiller":
                assert values[0] == pytest.approx(values[1], abs=1.0)
        chiller = next(i for i, unit in enumerate(UNITS, start=1) if unit.tango_class == "Chiller")
        words = list(struct.unpack(">HH", struct.pack(">f", 14.5)))
        assert not client.write_registers(2, words, device_id=chiller).isError()
        assert not client.write_coil(0, False, device_id=chiller).isError()
        time.sleep(0.2)
        registers = client.read_holding_registers(2, count=6, device_id=chiller).registers
        setpoint, _, on = struct.unpack(">3f", struct.pack(">6H", *registers))
        assert (setpoint, on) == (14.5, 0.0)
        assert client.read_holding_registers(0, count=10, device_id=200).exception_code == 11
    finally:
        client.close()


@pytest.mark.requirement("SYS-SECURITY")
def test_garbage_and_slow_bytes_at_every_port_leave_the_plant_as_it_was(centre) -> None:
    state, ports = centre
    rng = random.Random(5)
    blocks: list[Frame] = []
    link = WireClient(Peer("127.0.0.1", ports["port"], "watcher"), blocks.append)
    link.wait_alive(10)
    before = link.request({"do": "faults"}).body["faults"]
    slow = [socket.create_connection(("127.0.0.1", ports[name])) for name in ports if name.endswith("port")]
    for connection in slow:
        connection.sendall(b"\x00")
    for name in ("port", "environment_port", "modbus_port"):
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", ports[name])) as connection:
                connection.settimeout(0.05)
                try:
                    for _ in range(5):
                        connection.sendall(rng.randbytes(rng.randrange(1, 3000)))
                except OSError:
                    pass
    assert link.request({"do": "faults"}).body["faults"] == before
    names = link.channels
    seen, end = len(blocks), time.monotonic() + 5
    while len(blocks) < seen + 5 and time.monotonic() < end:
        time.sleep(0.02)
    values = dict(zip(names, block_values(blocks[-1]), strict=True))
    assert len(blocks) >= seen + 5 and values["ok.couch"] == 1.0
    with socket.create_connection(("127.0.0.1", ports["environment_port"]), timeout=3) as station:
        station.sendall(b"INST:SEL?\nINST:SEL room2-environment\nINST:SEL?\nMEAS:TEMP?\n")
        text = b""
        while text.count(b"\n") < 3:
            text += station.recv(4096)
    first, second, temperature = text.decode().split()
    assert (first, second) == ("room1-environment", "room2-environment") and 20 < float(temperature) < 25
    for connection in slow:
        connection.close()
    link.close()
    assert "Traceback" not in (state / "log").read_text()


@pytest.mark.requirement("ACS-SUPERVISE")
def test_faults_by_name_from_the_command_line(centre) -> None:
    state, _ = centre

    def ptcs(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["fault", *words, "--state", str(state)], env={"PTCS_LANG": "en"})
        return result.exit_code, result.output

    name, wire = "safety/injector-hall/door-main", "injector-hall-door-main"
    assert ptcs("inject", name, "a_open") == (0, f"{wire}: a_open injected\n")
    code, output = ptcs("list", "--json")
    (row,) = [row for row in json.loads(output) if row["device"] == wire]
    assert code == 0 and row["causes"] == ["a_open"] and row["name"] == name
    code, output = ptcs("list", wire, "--json")
    active = {row["kind"]: row["active"] for row in json.loads(output)}
    assert active["a_open"] and not active["b_open"]
    assert "broken" in ptcs("list", wire)[1] and wire[:10] in ptcs("list")[1]
    assert ptcs("clear", wire, "a_open") == (0, f"{wire}: cleared\n")
    code, output = ptcs("inject", wire, "boredom")
    assert code == 1 and "allowed are a_open" in output
    code, output = ptcs("inject", "injector-hall-dor-main", "a_open")
    assert code == 1 and f"did you mean {wire}" in output
    code, output = ptcs("inject", wire, "a_open", "--size", "2")
    assert code == 1 and "only faults of the fpga" in output
    code, output = ptcs("inject", "fpga", "stuck_beam")
    assert code == 1 and "fpga is not running" in output
