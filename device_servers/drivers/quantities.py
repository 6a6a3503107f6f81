"""Quantities of each device class, as the channels of its peer name them (docs/reference/acs.md)."""

SUPPLY = ("setpoint", "on", "fault")
QUANTITIES: dict[str, tuple[str, ...]] = {
    "MagnetSupply": ("current", "voltage", "setpoint", "on", "temperature", "ramp", "trim", "fault"),
    "KickerSupply": ("voltage", *SUPPLY, "pulses"),
    "ScanningSupply": ("current", "voltage", "on", "temperature", "fault"),
    "IonSource": ("current", *SUPPLY),
    "HighVoltageSupply": ("voltage", *SUPPLY, "current"),
    "RfCavity": ("voltage", *SUPPLY, "frequency", "phase"),
    "RfAmplifier": ("forward", "reflected", "temperature", "on", "fault"),
    "RfKnockOut": ("amplitude", *SUPPLY, "gate"),
    "VacuumGauge": ("pressure", "fault"),
    "IonPump": ("voltage", "current", "pressure", "on", "fault"),
    "TurboPump": ("speed", "current", "temperature", "on", "fault"),
    "SectorValve": ("position", "fault"),
    "WaterCircuit": ("flow", "temperature", "pressure", "conductivity", "fault"),
    "StripperFoil": ("position", "used", "fault"),
    "CurrentTransformer": ("current", "fault"),
    "BeamPositionMonitor": ("x", "y", "intensity", "fault"),
    "ProfileMonitor": ("x", "y", "sigma_x", "sigma_y", "position", "fault"),
    "FaradayCup": ("current", "position", "fault"),
    "BeamLossMonitor": ("rate", "fault"),
    "BeamStopper": ("position", "open", "closed", "permit", "fault"),
    "Slit": ("centre", "gap", "moving", "fault"),
    "Degrader": ("thickness", "energy", "moving", "fault"),
    "LayerChamber": ("charge", "on", "fault"),
    "ReferenceChamber": ("charge", "on", "fault"),
    "SafetyDoor": ("a", "b", "fault"),
    "EmergencyStop": ("a", "b", "fault"),
    "SearchStation": ("state", "button", "fault"),
    "RadiationMonitor": ("rate", "fault"),
    "Couch": ("x", "y", "z", "pitch", "roll", "yaw", "moving", "enabled", "fault"),
    "Gantry": ("angle", "moving", "enabled", "fault"),
    "Snout": ("extension", "moving", "fault"),
    "RangeShifter": ("position", "fault"),
    "RespirationMonitor": ("amplitude", "phase", "gate", "fault"),
}
"""Classes in the plant's frames."""

MODBUS: dict[str, tuple[str, ...]] = {
    "WaterPump": ("flow", "pressure", "speed", "on", "fault"),
    "Chiller": ("temperature", "setpoint", "power", "on", "fault"),
}
"""Classes on Modbus: the order of their registers."""
