"""Starting a machine of any site: which classes of equipment are switched on after which, and how.

The table names commands of device classes. Tango, and the verbs of the plant's frames, which are the
commands in small letters, are two ways to give them; a site has what it has of each class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.site import Device, Site


@dataclass(frozen=True)
class Stage:
    """Equipment that is commanded together, when all of the stages before stand. `text`: what happens."""

    text: str
    command: str
    classes: tuple[str, ...]


START: tuple[Stage, ...] = (
    Stage("cooling water", "On", ("Chiller", "WaterPump")),
    Stage("vacuum pumps", "On", ("TurboPump", "IonPump")),
    Stage("sector valves", "Open", ("SectorValve",)),
    Stage("diagnostics out of the beam", "Retract", ("ProfileMonitor", "FaradayCup")),
    Stage("magnets", "On", ("MagnetSupply", "ScanningSupply", "KickerSupply")),
    Stage("radio frequency", "On", ("RfAmplifier", "RfCavity", "RfKnockOut")),
    Stage("source", "On", ("HighVoltageSupply", "IonSource")),
    Stage("beam stoppers", "Open", ("BeamStopper",)),
)
"""In this order. A beam stopper of a room is its safety shutter: it opens for the room that gets beam only,
so that the others stay isolated."""


def members(site: Site, stage: Stage, room: str) -> list[Device]:
    """The devices of a stage for beam in one room: rooms' stoppers but its own stay closed."""
    return [
        device
        for device in site.devices
        if device.tango_class in stage.classes
        and not device.plant.get("fixed")
        and (device.tango_class != "BeamStopper" or device.room in ("", room))
    ]


def start_up(site: Site, room: str, stages: Sequence[Stage] = START) -> Iterator[tuple[Stage, list[Device]]]:
    """The stages of a site that have devices, in order."""
    for stage in stages:
        if devices := members(site, stage, room):
            yield stage, devices


def stations(site: Site, room: str) -> list[Device]:
    """Search stations of everything that beam in a room needs closed: the halls' and its own."""
    return [device for device in site.of_class("SearchStation") if device.room in ("", room)]


def buttons(station: Device) -> tuple[str, ...]:
    """The buttons of a search station in the order of the search."""
    return tuple(map(str, station.plant.get("buttons", ("exit",))))
