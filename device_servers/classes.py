"""The Tango class of each device class of the site, imported once so that a fork server has them all."""

from typing import Any

from common.errors import BadConfig
from device_servers.accelerator.current_transformer import CurrentTransformer
from device_servers.accelerator.ion_source import IonSource
from device_servers.accelerator.magnet_supply import MagnetSupply
from device_servers.accelerator.rf_cavity import RfCavity
from device_servers.accelerator.sector_valve import SectorValve
from device_servers.accelerator.vacuum_gauge import VacuumGauge
from device_servers.accelerator.water_circuit import WaterCircuit
from device_servers.central.beam_allocation import BeamAllocation
from device_servers.central.interlock import Interlock
from device_servers.central.session import TreatmentSession
from device_servers.central.timing import Timing
from device_servers.crate import Crate
from device_servers.room.couch import Couch
from device_servers.room.environment_station import EnvironmentStation
from device_servers.room.gantry import Gantry
from device_servers.room.nozzle import Nozzle
from device_servers.services.archiver import Archiver

CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        Archiver,
        BeamAllocation,
        Couch,
        Crate,
        CurrentTransformer,
        EnvironmentStation,
        Gantry,
        Interlock,
        IonSource,
        MagnetSupply,
        Nozzle,
        RfCavity,
        SectorValve,
        Timing,
        TreatmentSession,
        VacuumGauge,
        WaterCircuit,
    )
}


def class_named(name: str) -> Any:
    """The Tango class of that name. Raises BadConfig for one that does not exist."""
    try:
        return CLASSES[name]
    except KeyError as why:
        raise BadConfig(f"no device class {name}: allowed are {', '.join(sorted(CLASSES))}") from why
