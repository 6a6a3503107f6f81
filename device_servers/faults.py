"""Names of the fault codes: one table per class, the same codes as the equipment has."""

import math
from collections.abc import Mapping

from common.text import _

MOTION = {1: "collision", 2: "drive", 3: "encoder"}
TWO_ENDS = {1: "stuck", 2: "end switch"}

FAULTS: Mapping[str, Mapping[int, str]] = {
    "MagnetSupply": {
        1: "overcurrent",
        2: "overtemperature",
        3: "regulation",
        4: "interlock",
        5: "communication",
        6: "ground",
    },
    "KickerSupply": {1: "charging", 2: "switch", 3: "interlock"},
    "ScanningSupply": {1: "amplifier", 2: "overtemperature", 3: "communication"},
    "IonSource": {1: "extinction", 2: "high voltage"},
    "HighVoltageSupply": {1: "sparks", 2: "overcurrent"},
    "StripperFoil": {1: "broken", 2: "stuck"},
    "RfAmplifier": {1: "reflected", 2: "overtemperature", 3: "tube"},
    "RfCavity": {1: "arc", 2: "tuner"},
    "RfKnockOut": {1: "amplifier", 2: "gate closed"},
    "VacuumGauge": {1: "gauge"},
    "IonPump": {1: "overload", 2: "high voltage"},
    "TurboPump": {1: "bearing", 2: "overtemperature", 3: "controller"},
    "SectorValve": {**TWO_ENDS, 3: "air"},
    "WaterPump": {1: "motor", 2: "dry"},
    "Chiller": {1: "compressor", 2: "low pressure"},
    "WaterCircuit": {1: "pump", 2: "chiller", 3: "resin"},
    "CurrentTransformer": {1: "blind"},
    "BeamPositionMonitor": {1: "electronics"},
    "ProfileMonitor": {1: "stuck", 2: "electronics"},
    "FaradayCup": {1: "stuck", 2: "electrometer"},
    "BeamLossMonitor": {1: "high voltage"},
    "LayerChamber": {1: "electrometer"},
    "ReferenceChamber": {1: "electrometer"},
    "BeamStopper": {1: "stuck", 2: "open switch", 3: "closed switch", 4: "air"},
    "Slit": {1: "drive", 2: "collision"},
    "Degrader": {1: "drive", 2: "communication"},
    "Couch": MOTION,
    "Gantry": MOTION,
    "Snout": MOTION,
    "RangeShifter": TWO_ENDS,
    "RespirationMonitor": {1: "camera"},
    "SafetyDoor": {2: "supply"},
    "EmergencyStop": {2: "supply"},
    "SearchStation": {1: "link", 2: "stuck"},
    "RadiationMonitor": {1: "detector"},
}
"""Class -> code -> name. Code 0 is no fault."""

SEEN: Mapping[str, Mapping[int, str]] = {
    name: {1: "contacts differ"} for name in ("SafetyDoor", "EmergencyStop")
}
"""Codes that are no fault of their own kind: what a device says when its parts contradict each other."""


def fault_text(code: float, tango_class: str) -> str:
    """Name of a fault code of a class; the number itself for one that the table does not name."""
    if not math.isfinite(code):
        return _("unknown")
    if code == 0:
        return _("no fault")
    names = {**SEEN.get(tango_class, {}), **FAULTS.get(tango_class, {})}
    return _(names[int(code)]) if int(code) in names else str(int(code))
