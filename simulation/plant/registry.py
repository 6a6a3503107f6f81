"""Every class of equipment that the plant simulates, in the order in which they step and stand in a block.

A new kind of equipment is one `Family` and one line here. The order matters where a family uses what another
has written into the world in the same step: supplies give off heat before water takes it away.
"""

from collections.abc import Mapping

from simulation.plant.degrader import Degraders
from simulation.plant.diagnostics import (
    FaradayCups,
    LossMonitors,
    PositionMonitors,
    ProfileMonitors,
    Transformers,
)
from simulation.plant.dosimetry import LayerChambers, ReferenceChambers
from simulation.plant.family import Family
from simulation.plant.kickers import Kickers
from simulation.plant.motion import Couches, Gantries, RangeShifters, Snouts
from simulation.plant.radiation import RadiationMonitors
from simulation.plant.respiration import RespirationMonitors
from simulation.plant.rf import Amplifiers, Cavities, KnockOuts
from simulation.plant.safety import Doors, EmergencyStops, SearchStations
from simulation.plant.scanning import Scanners
from simulation.plant.services import Environment
from simulation.plant.slits import Slits
from simulation.plant.source import Foils, HighVoltage, Sources
from simulation.plant.stoppers import Stoppers
from simulation.plant.supplies import Supplies
from simulation.plant.vacuum import Gauges, Valves
from simulation.plant.vacuum_pumps import IonPumps, TurboPumps
from simulation.plant.water import Water
from simulation.plant.water_supply import Chillers, WaterPumps

FAMILIES: Mapping[str, type[Family]] = {
    "MagnetSupply": Supplies,
    "KickerSupply": Kickers,
    "ScanningSupply": Scanners,
    "IonSource": Sources,
    "HighVoltageSupply": HighVoltage,
    "StripperFoil": Foils,
    "RfAmplifier": Amplifiers,
    "RfCavity": Cavities,
    "RfKnockOut": KnockOuts,
    "VacuumGauge": Gauges,
    "IonPump": IonPumps,
    "TurboPump": TurboPumps,
    "SectorValve": Valves,
    "WaterPump": WaterPumps,
    "Chiller": Chillers,
    "WaterCircuit": Water,
    "BeamStopper": Stoppers,
    "Slit": Slits,
    "Degrader": Degraders,
    "CurrentTransformer": Transformers,
    "BeamPositionMonitor": PositionMonitors,
    "ProfileMonitor": ProfileMonitors,
    "FaradayCup": FaradayCups,
    "BeamLossMonitor": LossMonitors,
    "Couch": Couches,
    "Gantry": Gantries,
    "Snout": Snouts,
    "RangeShifter": RangeShifters,
    "RespirationMonitor": RespirationMonitors,
    "EnvironmentStation": Environment,
    "LayerChamber": LayerChambers,
    "ReferenceChamber": ReferenceChambers,
    "SafetyDoor": Doors,
    "EmergencyStop": EmergencyStops,
    "SearchStation": SearchStations,
    "RadiationMonitor": RadiationMonitors,
}
"""Class of the site file -> its family."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "ok.magnets": ("MagnetSupply",),
    "ok.vacuum": ("VacuumGauge", "IonPump", "TurboPump", "SectorValve"),
    "ok.water": ("WaterCircuit", "WaterPump", "Chiller"),
    "ok.rf": ("RfCavity", "RfAmplifier", "RfKnockOut"),
    "ok.source": ("IonSource", "HighVoltageSupply", "StripperFoil"),
    "ok.couch": ("Couch",),
    "ok.gantry": ("Gantry",),
}
"""Crate-wide channel -> classes whose every device must be good for it to be 1."""
