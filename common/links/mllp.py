"""HL7 version 2 messages over TCP: the minimal lower layer protocol (MLLP, release 1)."""

import socket
import time

from common.errors import LinkLost

START, END = b"\x0b", b"\x1c\x0d"
LONGEST = 1 << 20


def call(host: str, port: int, message: str, timeout_s: float) -> str:
    """Send one message and return the answer to it, all within `timeout_s` seconds of wall time.

    Raises LinkLost when the peer cannot be reached, is silent for longer, or closes without an answer.
    """
    until = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as link:
            link.sendall(framed(message))
            return receive(link, until)
    except OSError as why:
        raise LinkLost(f"HL7 peer {host}:{port} does not answer ({why})") from why


def framed(message: str) -> bytes:
    """A message as it goes over the line."""
    return START + message.encode("utf-8") + END


def receive(link: socket.socket, until: float) -> str:
    """The next message that comes in before `until` (time.monotonic). Raises LinkLost, OSError."""
    data = b""
    while END not in data:
        left = until - time.monotonic()
        if left <= 0:
            raise LinkLost("the HL7 peer was silent for too long")
        link.settimeout(left)
        piece = link.recv(1 << 16)
        data += piece
        if not piece or len(data) > LONGEST:
            raise LinkLost("the HL7 peer closed, or its message has no end")
    return data[data.find(START) + 1 : data.find(END)].decode("utf-8", "replace")
