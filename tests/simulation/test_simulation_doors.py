"""Ports of simulated hardware are for programs of one user: another one on the same computer gets nothing."""

import os
import pwd
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from rig_process import Hardware

from common.links.socket_owner import accepted, owner
from common.wire.frame import Frame, Kind, encode

NOBODY = pwd.getpwnam("nobody").pw_uid
STRANGER = """
import encodings.idna, os, socket, sys
os.setgid({uid}); os.setuid({uid})
for port, said in {said!r}:
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        link.sendall(said)
        heard = b"".join(iter(lambda: link.recv(65536), b""))
    except ConnectionError:
        heard = b""
    print(port, len(heard))
"""


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


@pytest.mark.requirement("SYS-ACCESS")
def test_the_kernel_says_who_holds_the_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client, served = pair()
    far, near = served.getpeername(), served.getsockname()
    assert owner(far, near) == os.getuid() and accepted(served)
    with monkeypatch.context() as without:
        without.setattr("common.links.socket_owner._asked", lambda *_: (_ for _ in ()).throw(OSError()))
        assert owner(far, near) == os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert accepted(served) is (owner(far, near) == 0)
    monkeypatch.undo()
    client.close()
    # A closed end belongs to nobody: the kernel counts it as user 0, which must not pass for root.
    assert owner(far, near) is None and not accepted(served)
    assert owner(("127.0.0.1", 1), near) is None
    served.close()


@pytest.mark.requirement("SYS-ACCESS")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a program of another user")
def test_another_user_of_the_computer_writes_nothing_to_plant_and_beam_hardware(tmp_path: Path) -> None:
    hardware = Hardware(tmp_path)
    try:
        hardware.start("plant")
        hardware.start("fpga")
        plant = hardware.connect("plant", "operator")
        ports = hardware.run_file("plant") | {"fpga": hardware.run_file("fpga")["port"]}
        before = plant.request({"do": "faults"}).body["faults"]
        fault = encode(Frame(Kind.REQUEST, 1, {"do": "permits", "permits": {"source": True}}))
        trip = encode(Frame(Kind.REQUEST, 1, {"do": "hello", "name": "session", "watchdog": True}))
        coil = struct.pack(">HHHBBHH", 1, 0, 6, 1, 5, 0, 0xFF00)
        said = [(ports["port"], fault), (ports["fpga"], trip), (ports["modbus_port"], coil)]
        said.append((ports["environment_port"], b"MEAS:TEMP?\n"))
        script = STRANGER.format(uid=NOBODY, said=said)
        found = subprocess.run(
            [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=30
        )
        assert found.stdout.split() == [str(word) for port, _said in said for word in (port, 0)], found.stderr
        assert plant.request({"do": "faults"}).body["faults"] == before
        logs = {name: (tmp_path / f"{name}.log").read_text() for name in ("plant", "fpga")}
        assert logs["plant"].count("another user") == 3 and logs["fpga"].count("another user") == 1
    finally:
        hardware.stop()
