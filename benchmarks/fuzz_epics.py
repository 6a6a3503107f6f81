"""Garbage at the ports of a running EPICS gateway: random bytes, truncated and mutated frames, slow senders.

`python -m benchmarks.fuzz_epics RUN_FILE [--messages N] [--seed N]`; RUN_FILE: run/epics.json of a facility.
Prints a JSON report: what was sent, and whether gets over both protocols answer afterwards.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
PV = "PTCS:gateway:Names"
GET_PVA = "from p4p.client.thread import Context; Context('pva', nt=False).get({pv!r}, timeout=20)"
GET_CA = "from caproto.sync.client import read; print(read({pv!r}, timeout=20, repeater=False).data)"


def pva_frame(command: int, body: bytes, flags: int = 0x00) -> bytes:
    return struct.pack("<BBBBI", 0xCA, 2, flags, command, len(body)) + body


def pva_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


PVA_FRAMES = (
    pva_frame(1, struct.pack("<IH", 0x10000, 0x7FFF) + pva_text("anonymous")),
    pva_frame(7, struct.pack("<HI", 1, 1) + pva_text(PV)),
    pva_frame(10, struct.pack("<IIB", 1, 1, 8) + b"\xfd\x02\x00\x80\x00\x00"),
    pva_frame(11, struct.pack("<IIB", 1, 2, 8) + b"\xfd\x02\x00\x80\x00\x00"),
    pva_frame(13, struct.pack("<IIB", 1, 3, 8) + b"\xfd\x02\x00\x80\x00\x00"),
    pva_frame(3, struct.pack("<IB3x16sHBBHI", 1, 0, bytes(16), 5, 1, 3, 1, 7) + pva_text(PV)),
    pva_frame(2, b"echo"),
)


def ca_frame(
    command: int, data_type: int = 0, count: int = 0, one: int = 0, two: int = 0, body: bytes = b""
) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack(">HHHHII", command, len(body), data_type, count, one, two) + body


CA_FRAMES = (
    ca_frame(0, 1, 13),
    ca_frame(20, body=b"fuzzer\0"),
    ca_frame(21, body=b"nowhere\0"),
    ca_frame(18, one=1, two=13, body=PV.encode() + b"\0"),
    ca_frame(15, 20, 1, 1, 1),
    ca_frame(1, 20, 1, 1, 1, struct.pack(">fffHxx", 0, 0, 0, 7)),
    ca_frame(19, 6, 1, 1, 1, struct.pack(">d", 1e9)),
    ca_frame(6, 5, 13, 1, 1, PV.encode() + b"\0"),
    ca_frame(23),
)


def garbage(dice: random.Random, frames: tuple[bytes, ...]) -> bytes:
    """Random bytes, or a few frames of which one is cut, flipped or lies about its length."""
    if dice.random() < 0.3:
        return dice.randbytes(dice.randint(1, 300))
    parts = [bytearray(dice.choice(frames)) for _ in range(dice.randint(1, 4))]
    hit = dice.choice(parts)
    for _ in range(dice.randint(0, 6)):
        hit[dice.randrange(len(hit))] = dice.randrange(256)
    sent = b"".join(parts)
    return sent[: dice.randint(1, len(sent))] if dice.random() < 0.4 else sent


class Fuzz:
    """One run against one gateway."""

    def __init__(self, run_file: Path, seed: int) -> None:
        self.run_file, self.dice = run_file, random.Random(seed)
        self.sent: dict[str, int] = {}
        self.not_connected = 0
        self.answers: dict[str, bool] = {}

    def ports(self) -> dict[str, tuple[int, int]]:
        """TCP and UDP port of each protocol, as announced now: a restarted gateway may have others."""
        run = json.loads(self.run_file.read_text())
        pva, ca = run["pva_env"], run["ca_env"]
        both = int(ca["EPICS_CA_SERVER_PORT"])
        return {
            "pva": (int(pva["EPICS_PVA_SERVER_PORT"]), int(pva["EPICS_PVA_BROADCAST_PORT"])),
            "ca": (both, both),
        }

    def send(self, protocol: str, messages: int) -> None:
        """Send messages: one in four as a datagram, the others over connections of some messages each."""
        frames = PVA_FRAMES if protocol == "pva" else CA_FRAMES
        tcp, udp = self.ports()[protocol]
        left = messages
        while left > 0:
            if self.dice.random() < 0.25:
                with socket.socket(type=socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
                    sock.sendto(garbage(self.dice, frames), (HOST, udp))
                left -= 1
                self.count(f"{protocol}-udp")
                continue
            batch = min(left, self.dice.randint(1, 12))
            try:
                with socket.create_connection((HOST, tcp), timeout=5.0) as sock:
                    for _ in range(batch):
                        sock.sendall(garbage(self.dice, frames))
                        self.count(f"{protocol}-tcp")
                        left -= 1
            except OSError:  # the gateway may end a connection whenever it likes
                self.not_connected += 1

    def count(self, kind: str) -> None:
        self.sent[kind] = self.sent.get(kind, 0) + 1

    def slow(self, seconds: float, connections: int = 20) -> None:
        """Connections that send a byte of a frame now and then, while others work."""
        socks = []
        for number in range(connections):
            protocol = ("pva", "ca")[number % 2]
            sock = socket.create_connection((HOST, self.ports()[protocol][0]), timeout=5.0)
            socks.append((sock, (PVA_FRAMES if protocol == "pva" else CA_FRAMES)[0]))
        ends, place = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            for sock, frame in socks:
                with contextlib.suppress(OSError):
                    sock.sendall(frame[place % len(frame) : place % len(frame) + 1])
            place += 1
            time.sleep(0.2)
        self.answers = self.gets()
        for sock, _frame in socks:
            sock.close()

    def gets(self) -> dict[str, bool]:
        """Whether clients not ours get a value over each protocol, in processes of their own."""
        run = json.loads(self.run_file.read_text())
        alive = {}
        for name, code in (("pva", GET_PVA), ("ca", GET_CA)):
            env = {**os.environ, **run[f"{name}_env"]}
            command = [sys.executable, "-c", code.format(pv=PV)]
            done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
            alive[name] = done.returncode == 0
        return alive


def fuzz(run_file: Path, messages: int, seed: int, slow_s: float = 3.0) -> dict[str, Any]:
    """Send `messages` to each protocol and say how the gateway took them."""
    run = Fuzz(run_file, seed)
    pid = json.loads(run_file.read_text())["pid"]
    for protocol in ("pva", "ca"):
        run.send(protocol, messages)
    run.slow(slow_s)
    return {
        "benchmark": "epics-fuzz",
        "seed": seed,
        "sent": run.sent,
        "connections_ended": run.not_connected,
        "gets_beside_slow_senders": run.answers,
        "gets_after": run.gets(),
        "restarted": json.loads(run_file.read_text())["pid"] != pid,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_file", type=Path)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    report = fuzz(wish.run_file, wish.messages, wish.seed)
    print(json.dumps(report))
    return 0 if all(report["gets_after"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
