"""Wire driver of equipment on Modbus TCP (map: docs/reference/acs.md): one link and one thread per process.

The thread reads every unit in turn; `read` gives the latest values and never blocks.
"""

import logging
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from common.errors import LinkLost, Refused
from common.files import read_json
from common.site import Site
from common.text import _
from device_servers.drivers.protocols import Floats, Reading, Wake
from device_servers.drivers.quantities import MODBUS

log = logging.getLogger(__name__)

PERIOD_S = 0.5
LIMIT_S = 1.0
"""Longest wait for an answer."""
FRESH_S = 2.5
"""Greatest age of values that are shown."""
REGISTERS = 10
COIL_ON, COIL_RESET = 0, 1
EXCEPTIONS = {
    3: "value is outside its limits",
    4: "equipment has a fault; mend it, then send Reset",
}


def units(site: Site) -> dict[str, int]:
    """Unit number of each device on Modbus: from 1 in the order of the site file."""
    return {d.name: i for i, d in enumerate((d for d in site.devices if d.tango_class in MODBUS), start=1)}


@dataclass
class _Unit:
    """What is known of one unit."""

    values: Floats = field(default_factory=lambda: np.full(REGISTERS // 2, np.nan))
    wall_ns: int = 0
    heard: float = -np.inf


class ModbusLink:
    """The connection that all Modbus devices of a process share. Methods may be called from any thread."""

    def __init__(self, run_file: Path) -> None:
        """`run_file` names host and `modbus_port`, and may appear later. Starts asking at once."""
        self._run_file = run_file
        self._units: dict[int, _Unit] = {}
        self._wakes: list[Wake] = []
        self._client: ModbusTcpClient | None = None
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._ask_now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modbus", daemon=True)
        self._thread.start()

    def add(self, unit: int) -> None:
        """Read a unit from now on."""
        self._units[unit] = _Unit()
        self._ask_now.set()

    def listen(self, wake: Wake) -> None:
        """Call `wake` after each round of readings and when the link is lost."""
        if wake not in self._wakes:
            self._wakes.append(wake)

    def fresh(self, unit: int) -> bool:
        """Whether a unit has answered lately."""
        return time.monotonic() - self._units[unit].heard < FRESH_S

    def values(self, unit: int) -> Reading:
        """The latest values of a unit; NaN when it has not answered lately."""
        known = self._units[unit]
        if not self.fresh(unit):
            return Reading(np.full(REGISTERS // 2, np.nan), time.time_ns())
        return Reading(known.values, known.wall_ns)

    def write_coil(self, unit: int, coil: int, value: bool) -> None:
        """Write one coil. Raises Refused with the unit's reason, LinkLost."""
        self._write(lambda client: client.write_coil(coil, value, device_id=unit))

    def write_float(self, unit: int, register: int, value: float) -> None:
        """Write a float32 to two registers. Raises Refused with the unit's reason, LinkLost."""
        words = list(struct.unpack(">HH", struct.pack(">f", value)))
        self._write(lambda client: client.write_registers(register, words, device_id=unit))

    def close(self) -> None:
        """End the link."""
        self._end.set()
        self._ask_now.set()
        self._thread.join(timeout=2.0)

    def _write(self, write: Callable[[ModbusTcpClient], Any]) -> None:
        with self._lock:
            client = self._client
            if client is None or not client.connected:
                raise LinkLost(_("no Modbus link to the plant; is its process running?"))
            try:
                answer = write(client)
            except (ModbusException, OSError) as why:
                client.close()
                raise LinkLost(_("Modbus unit did not answer ({why})").format(why=why)) from why
        if answer.isError():
            code = int(getattr(answer, "exception_code", 0))
            raise Refused(_(EXCEPTIONS[code]) if code in EXCEPTIONS else _("exception {n}").format(n=code))
        self._ask_now.set()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                if self._connected():
                    self._round()
            except (ModbusException, OSError, ValueError, KeyError, TypeError) as why:
                log.debug("modbus: %s", why)
                self._hang_up()
            for wake in self._wakes:
                wake()
            self._ask_now.wait(PERIOD_S)
            self._ask_now.clear()
        self._hang_up()

    def _connected(self) -> bool:
        """Whether there is a connection; opens one to the address in the run file."""
        if self._client is not None and self._client.connected:
            return True
        if not self._run_file.exists():
            return False
        entry = read_json(self._run_file)
        host, port = str(entry.get("host", "127.0.0.1")), int(entry["modbus_port"])
        client = ModbusTcpClient(host, port=port, timeout=LIMIT_S, retries=0, reconnect_delay=0)
        with self._lock:
            self._client = client
            return bool(client.connect())

    def _round(self) -> None:
        """Read every unit once. A unit that does not exist or refuses stays unknown."""
        for number, unit in list(self._units.items()):
            with self._lock:
                assert self._client is not None
                answer = self._client.read_holding_registers(0, count=REGISTERS, device_id=number)
            if answer.isError():
                log.debug("modbus unit %d: %s", number, answer)
                continue
            words = np.array(answer.registers, dtype=">u2")
            unit.values = words.view(">f4").astype(np.float64)
            unit.wall_ns, unit.heard = time.time_ns(), time.monotonic()

    def _hang_up(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
        for unit in self._units.values():
            unit.heard = -np.inf


class ModbusDevice:
    """One unit; implements Switchable, and PowerSupply where it has a setpoint."""

    def __init__(self, link: ModbusLink, unit: int, tango_class: str) -> None:
        """`unit`: its number on the link."""
        self.quantities = MODBUS[tango_class]
        self._link, self._unit = link, unit
        link.add(unit)

    @property
    def up(self) -> bool:
        """Whether the unit has answered lately."""
        return self._link.fresh(self._unit)

    def read(self) -> Reading:
        """The latest values; all NaN while the unit does not answer."""
        return self._link.values(self._unit)

    def listen(self, wake: Wake) -> None:
        """Call `wake` when something may have changed."""
        self._link.listen(wake)

    def on(self) -> None:
        """Switch on."""
        self._link.write_coil(self._unit, COIL_ON, True)

    def off(self) -> None:
        """Switch off."""
        self._link.write_coil(self._unit, COIL_ON, False)

    def reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self._link.write_coil(self._unit, COIL_RESET, True)

    def set(self, name: str, value: float) -> None:
        """Set the setpoint, by its name or that of the quantity. Raises Refused for any other name."""
        if "setpoint" not in self.quantities or name not in ("setpoint", self.quantities[0]):
            raise Refused(_("nothing to set called {name}").format(name=name))
        self._link.write_float(self._unit, 2 * self.quantities.index("setpoint"), value)
