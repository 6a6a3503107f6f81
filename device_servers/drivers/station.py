"""Wire driver of the temperature and pressure station: SCPI lines over TCP, asked once a second."""

import logging
import socket
import threading
import time
from pathlib import Path

import numpy as np

from common.errors import BadInput, LinkLost
from common.files import read_json
from common.wire import scpi
from device_servers.drivers.protocols import Reading, Wake

log = logging.getLogger(__name__)

PERIOD_S = 0.5
LIMIT_S = 2.0
"""Longest wait for an answer, and greatest age of a value that is shown."""

HEADERS = {"temperature": "MEAS:TEMP", "pressure": "MEAS:PRES"}


class ScpiStation:
    """Implements Source: `temperature` degC, `pressure` hPa."""

    quantities = tuple(HEADERS)

    def __init__(self, run_file: Path, wire: str) -> None:
        """`run_file` names host and `environment_port`, and may appear later. Starts asking at once."""
        self._run_file, self._wire = run_file, wire
        self._reading: Reading | None = None
        self._heard = 0.0
        self._wakes: list[Wake] = []
        self._end = threading.Event()
        threading.Thread(target=self._run, name="station", daemon=True).start()

    @property
    def up(self) -> bool:
        """Whether both values are fresh."""
        return self._reading is not None and time.monotonic() - self._heard < LIMIT_S

    def read(self) -> Reading:
        """The latest values; NaN while the station does not answer."""
        reading = self._reading
        if reading is None or not self.up:
            return Reading(np.full(len(self.quantities), np.nan), time.time_ns())
        return reading

    def listen(self, wake: Wake) -> None:
        """Call `wake` after each answer and when the station is lost."""
        self._wakes.append(wake)

    def close(self) -> None:
        """Stop asking."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._converse()
            except (OSError, ValueError, KeyError, BadInput, LinkLost) as why:
                log.debug("station: %s", why)
            self._reading = None
            self._wake()
            self._end.wait(PERIOD_S)

    def _converse(self) -> None:
        """Ask until something goes wrong."""
        entry = read_json(self._run_file)
        address = (str(entry.get("host", "127.0.0.1")), int(entry["environment_port"]))
        with socket.create_connection(address, timeout=LIMIT_S) as link:
            decoder = scpi.LineDecoder()
            link.sendall(scpi.command("INST:SEL", self._wire))
            if (chosen := _ask(link, decoder, "INST:SEL")) != self._wire:
                raise LinkLost(f"asked for station {self._wire}, got {chosen}")
            while not self._end.is_set():
                values = [scpi.number(_ask(link, decoder, header)) for header in HEADERS.values()]
                self._reading = Reading(np.array(values), time.time_ns())
                self._heard = time.monotonic()
                self._wake()
                self._end.wait(PERIOD_S)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()


def _ask(link: socket.socket, decoder: scpi.LineDecoder, header: str) -> str:
    link.sendall(scpi.query(header))
    while True:
        data = link.recv(4096)
        if not data:
            raise LinkLost("the station closed the link")
        for line in decoder.feed(data):
            return line
