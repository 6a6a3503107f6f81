"""The Tango class of each device class of the site, imported once so that a fork server has them all."""

from typing import Any

from common.errors import BadConfig
from device_servers.accelerator.beam_loss_monitor import BeamLossMonitor
from device_servers.accelerator.beam_position_monitor import BeamPositionMonitor
from device_servers.accelerator.beam_stopper import BeamStopper
from device_servers.accelerator.chiller import Chiller
from device_servers.accelerator.current_transformer import CurrentTransformer
from device_servers.accelerator.degrader import Degrader
from device_servers.accelerator.faraday_cup import FaradayCup
from device_servers.accelerator.high_voltage_supply import HighVoltageSupply
from device_servers.accelerator.ion_pump import IonPump
from device_servers.accelerator.ion_source import IonSource
from device_servers.accelerator.kicker_supply import KickerSupply
from device_servers.accelerator.magnet_supply import MagnetSupply
from device_servers.accelerator.profile_monitor import ProfileMonitor
from device_servers.accelerator.rf_amplifier import RfAmplifier
from device_servers.accelerator.rf_cavity import RfCavity
from device_servers.accelerator.rf_knock_out import RfKnockOut
from device_servers.accelerator.scanning_supply import ScanningSupply
from device_servers.accelerator.sector_valve import SectorValve
from device_servers.accelerator.slit import Slit
from device_servers.accelerator.stripper_foil import StripperFoil
from device_servers.accelerator.supply_group import SupplyGroup
from device_servers.accelerator.turbo_pump import TurboPump
from device_servers.accelerator.vacuum_gauge import VacuumGauge
from device_servers.accelerator.water_circuit import WaterCircuit
from device_servers.accelerator.water_pump import WaterPump
from device_servers.central.beam_allocation import BeamAllocation
from device_servers.central.beam_catalogue import BeamCatalogue
from device_servers.central.interlock import Interlock
from device_servers.central.machine_mode import MachineMode
from device_servers.central.physics_beam import PhysicsBeam
from device_servers.central.post_mortem import PostMortem
from device_servers.central.session import TreatmentSession
from device_servers.central.timing import Timing
from device_servers.crate import Crate
from device_servers.room.couch import Couch
from device_servers.room.dosimeter import LayerChamber, ReferenceChamber
from device_servers.room.environment_station import EnvironmentStation
from device_servers.room.gantry import Gantry
from device_servers.room.nozzle import Nozzle
from device_servers.room.radiation_monitor import RadiationMonitor
from device_servers.room.range_shifter import RangeShifter
from device_servers.room.respiration_monitor import RespirationMonitor
from device_servers.room.search_station import SearchStation
from device_servers.room.snout import Snout
from device_servers.room.two_channel import EmergencyStop, SafetyDoor
from device_servers.services.alarm_server import AlarmServer
from device_servers.services.archiver import Archiver
from device_servers.services.control_authority import ControlAuthority
from device_servers.services.epics_gateway import EpicsGateway
from device_servers.services.facility_health import FacilityHealth
from device_servers.services.logbook_device import Logbook
from device_servers.services.maintenance_device import Maintenance
from device_servers.services.settings_server import SettingsServer

CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        AlarmServer,
        Archiver,
        BeamAllocation,
        BeamCatalogue,
        BeamLossMonitor,
        BeamPositionMonitor,
        BeamStopper,
        Chiller,
        ControlAuthority,
        Couch,
        Crate,
        CurrentTransformer,
        Degrader,
        EmergencyStop,
        EnvironmentStation,
        EpicsGateway,
        FacilityHealth,
        FaradayCup,
        Gantry,
        HighVoltageSupply,
        Interlock,
        IonPump,
        IonSource,
        KickerSupply,
        LayerChamber,
        Logbook,
        MachineMode,
        MagnetSupply,
        Maintenance,
        Nozzle,
        PhysicsBeam,
        PostMortem,
        ProfileMonitor,
        RadiationMonitor,
        RangeShifter,
        RespirationMonitor,
        RfAmplifier,
        RfCavity,
        ReferenceChamber,
        RfKnockOut,
        SafetyDoor,
        ScanningSupply,
        SearchStation,
        SectorValve,
        SettingsServer,
        Slit,
        Snout,
        StripperFoil,
        SupplyGroup,
        Timing,
        TreatmentSession,
        TurboPump,
        VacuumGauge,
        WaterCircuit,
        WaterPump,
    )
}


def class_named(name: str) -> Any:
    """The Tango class of that name. Raises BadConfig for one that does not exist."""
    try:
        return CLASSES[name]
    except KeyError as why:
        raise BadConfig(f"no device class {name}: allowed are {', '.join(sorted(CLASSES))}") from why
