"""The one fixed mapping from a device class of the site to its wire driver."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import BadConfig
from common.rooms import in_room
from common.site import Device, Site
from common.state import StateDir
from device_servers.drivers.delivery import FpgaDelivery
from device_servers.drivers.fpga import (
    FpgaAllocation,
    FpgaBeam,
    FpgaInterlock,
    FpgaKey,
    FpgaNozzle,
    StatusPoller,
)
from device_servers.drivers.link import FrameLink
from device_servers.drivers.modbus import ModbusDevice, ModbusLink, units
from device_servers.drivers.plant import PlantDevice, PlantPositioner
from device_servers.drivers.post_mortem import FpgaRings
from device_servers.drivers.quantities import MODBUS, QUANTITIES
from device_servers.drivers.station import ScpiStation
from device_servers.drivers.timing import FpgaTiming
from interlock.matrix import load as load_matrix

WATCHED = {"Interlock": "interlock", "Nozzle": "nozzle"}
"""Device class -> name under which its server's process link presents itself to the fpga.

Where a site has several rooms, the devices of one are `ROOM.nozzle` and `ROOM.session`.
"""

POSITIONERS = ("Couch", "Gantry", "Snout")
"""Classes that rest while there is beam."""


class Drivers:
    """Makes the drivers of one server process on its shared links."""

    def __init__(self, site: Site, state: Path, server: str) -> None:
        """Opens no link before a driver needs it."""
        self._site, self._state, self._server = site, state, server
        self._links: dict[str, FrameLink] = {}
        self._pollers: dict[str, StatusPoller] = {}
        self._made: dict[str, Any] = {}
        self._modbus: ModbusLink | None = None
        self._lock = threading.Lock()

    def __call__(self, device: Device) -> Any:
        """The driver of a device, the same one each time; None for a class without hardware of its own.

        Raises BadConfig for a class that has no entry.
        """
        if device.name not in self._made:
            self._made[device.name] = self._make(device)
        return self._made[device.name]

    def _make(self, device: Device) -> Any:
        if device.tango_class in POSITIONERS:
            quantities = QUANTITIES[device.tango_class]
            return PlantPositioner(self.plant(), self.beam(device), device.wire, quantities)
        if device.tango_class in MODBUS:
            return ModbusDevice(self.modbus(), units(self._site)[device.name], device.tango_class)
        if device.tango_class in QUANTITIES:
            return PlantDevice(self.plant(), device.wire, QUANTITIES[device.tango_class])
        try:
            return BUILDERS[device.tango_class](self, device)
        except KeyError as why:
            known = ", ".join(sorted({*QUANTITIES, *MODBUS, *BUILDERS}))
            raise BadConfig(f"{device.name}: no driver for class {device.tango_class}: {known}") from why

    def plant(self) -> FrameLink:
        """The link of this process to the plant."""
        return self._link("plant", self._server, watched=False)

    def fpga(self, name: str = "") -> FrameLink:
        """The link of this process to the fpga; with a watched name of its own if `name` says so."""
        name = name or self._main_name()
        return self._link("fpga", name, watched=name in self._site.watchdogs["clients"])

    def beam(self, device: Device) -> FpgaBeam:
        """Whether there is beam where a device stands: in its room, or anywhere."""
        rooms = self._site.rooms
        if len(rooms) < 2 or device.room not in rooms:
            return FpgaBeam(self.fpga())
        return FpgaBeam(self.fpga(), device.room, rooms.index(device.room) + 1)

    def nozzle(self, device: Device) -> FpgaNozzle:
        """The dose monitors of a room."""
        rooms = self._site.rooms
        return FpgaNozzle(self.fpga(self._watched(device)), rooms, device.room)

    def session(self, device: Device) -> FpgaDelivery:
        """The beam hardware as the session of a room drives it."""
        rooms = self._site.rooms
        return FpgaDelivery(self.fpga(in_room(rooms, device.room, "session")), rooms, device.room)

    def interlock(self) -> FpgaInterlock:
        """The interlock logic."""
        outputs = load_matrix(self._site.interlock_path).output_names
        return FpgaInterlock(self.fpga("interlock"), self.status(), outputs)

    def key(self) -> FpgaKey:
        """The interlock's service key."""
        return FpgaKey(self.fpga(), self.status(), load_matrix(self._site.interlock_path).service_key)

    def allocation(self) -> FpgaAllocation:
        """What gives the beam to a room."""
        return FpgaAllocation(self.fpga(), self._site.rooms)

    def _watched(self, device: Device) -> str:
        """The watched name of a device: its class's, and its room's where there are several."""
        name = WATCHED[device.tango_class]
        return in_room(self._site.rooms, device.room, name) if device.room else name

    def status(self) -> StatusPoller:
        """The poller of the fpga's status on the interlock's link."""
        link = self.fpga()
        with self._lock:
            if link.name not in self._pollers:
                self._pollers[link.name] = StatusPoller(link)
            return self._pollers[link.name]

    def station(self, wire: str) -> ScpiStation:
        """A temperature and pressure station."""
        return ScpiStation(StateDir(self._state).run_file("plant"), wire)

    def modbus(self) -> ModbusLink:
        """The Modbus link of this process: one for all its units."""
        with self._lock:
            if self._modbus is None:
                self._modbus = ModbusLink(StateDir(self._state).run_file("plant"))
            return self._modbus

    def close(self) -> None:
        """End every link."""
        if self._modbus is not None:
            self._modbus.close()
        for link in self._links.values():
            link.close()

    def _main_name(self) -> str:
        """The first watched name among this server's devices, so that they share one watched link."""
        for device in self._site.on_server(self._server):
            if device.tango_class in WATCHED:
                return self._watched(device)
        return self._server

    def _link(self, peer: str, name: str, *, watched: bool) -> FrameLink:
        with self._lock:
            key = f"{peer}/{name}"
            if key not in self._links:
                pulse_s = float(self._site.watchdogs["pulse_s"])
                run_file = StateDir(self._state).run_file(peer)
                self._links[key] = FrameLink(run_file, name, watchdog=watched, pulse_s=pulse_s)
            return self._links[key]


BUILDERS: dict[str, Callable[[Drivers, Device], Any]] = {
    "EnvironmentStation": lambda drivers, device: drivers.station(device.wire),
    "Nozzle": Drivers.nozzle,
    "Timing": lambda drivers, _device: FpgaTiming(drivers.fpga(), drivers.status()),
    "BeamCatalogue": lambda drivers, _device: FpgaTiming(drivers.fpga(), drivers.status()),
    "Interlock": lambda drivers, _device: drivers.interlock(),
    "MachineMode": lambda drivers, _device: drivers.key(),
    "PostMortem": lambda drivers, _device: FpgaRings(drivers.fpga()),
    "BeamAllocation": lambda drivers, _device: drivers.allocation(),
    "TreatmentSession": Drivers.session,
    "PhysicsBeam": Drivers.session,
    "SupplyGroup": lambda _drivers, _device: None,
    "AlarmServer": lambda _drivers, _device: None,
    "Archiver": lambda _drivers, _device: None,
    "ControlAuthority": lambda _drivers, _device: None,
    "EpicsGateway": lambda _drivers, _device: None,
    "FacilityHealth": lambda _drivers, _device: None,
    "Logbook": lambda _drivers, _device: None,
    "SettingsServer": lambda _drivers, _device: None,
    "Maintenance": lambda _drivers, _device: None,
    "Crate": lambda _drivers, _device: None,
}
