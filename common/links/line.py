"""One TCP line to a peer that speaks frames: opened and read by one thread, written by several."""

import logging
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from common.errors import LinkLost
from common.wire.frame import Frame, encode

log = logging.getLogger(__name__)

SEND_LIMIT_S = 1.0
CHUNK = 1 << 18


@dataclass(frozen=True)
class Peer:
    """Where a link leads and how it presents itself.

    watchdog: the peer trips when this link closes or falls silent. pulse_s: wall time between
    heartbeats of a watched link. stale_s: without any frame for this long the link is not alive;
    after three times as long it is dropped and opened anew (None: never).
    healthy: asked before each heartbeat; while it says no, no heartbeat goes out.
    """

    host: str
    port: int
    name: str
    watchdog: bool = False
    pulse_s: float = 0.02
    stale_s: float | None = 1.0
    healthy: Callable[[], bool] = field(default=lambda: True)


class Line:
    """The socket of a link: opened and read by one thread, written by several."""

    def __init__(self, peer: Peer) -> None:
        self.where = f"{peer.host}:{peer.port}"
        self._peer = peer
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect. Raises OSError."""
        link = socket.create_connection((self._peer.host, self._peer.port), timeout=2.0)
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SEND_LIMIT_S))
        if self._peer.stale_s is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(3 * self._peer.stale_s))
        with self._lock:
            self._socket = link

    def receive(self) -> bytes:
        """The next bytes. Raises LinkLost when closed or too long silent."""
        link = self._socket
        try:
            data = link.recv(CHUNK) if link is not None else b""
        except BlockingIOError as why:
            raise LinkLost("the peer fell silent") from why
        if not data:
            raise LinkLost("closed by the peer")
        return data

    def send(self, frame: Frame) -> None:
        """Write one whole frame. Raises LinkLost."""
        data = encode(frame)
        try:
            with self._lock:
                if self._socket is None:
                    raise LinkLost(f"link to {self.where} is down")
                self._socket.sendall(data)
        except OSError as why:
            self.hang_up()
            raise LinkLost(f"link to {self.where} broke: {why}") from why

    def hang_up(self) -> None:
        """Make the reading thread leave its receive call."""
        link = self._socket
        if link is not None:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError as why:
                log.debug("link to %s already gone: %s", self.where, why)

    def close(self) -> None:
        """Give the socket back."""
        with self._lock:
            link, self._socket = self._socket, None
        if link is not None:
            link.close()


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
