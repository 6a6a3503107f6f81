"""A small site with one device of every kind of equipment."""

from pathlib import Path
from typing import Any

import yaml

from common import site as sites
from common.site import Site

SERVER = "equipment"

Row = tuple[str, dict[str, Any], dict[str, Any]]
EQUIPMENT: dict[str, Row] = {
    "MagnetSupply": (
        "quad",
        {"current": [0, 500]},
        {"resistance_ohm": 0.1, "inductance_h": 0.01, "ramp_a_s": 1500.0, "role": "transport"},
    ),
    "KickerSupply": ("kicker", {"voltage": [0, 30]}, {"nominal_kv": 20.0, "charge_s": 0.1, "length_us": 2.0}),
    "ScanningSupply": ("scan-x", {}, {"plane": "x", "full_scale_a": 500.0}),
    "IonSource": ("ecr", {"current": [0, 500]}, {"nominal": 300.0, "rise_s": 0.1}),
    "HighVoltageSupply": ("deflector", {"voltage": [0, 60]}, {"nominal": 40.0, "rise_s": 0.1}),
    "RfCavity": ("cavity", {"voltage": [0, 2]}, {"nominal": 0.8, "rise_s": 0.1, "role": "ring"}),
    "RfAmplifier": ("amplifier", {}, {"cavity": "cavity", "nominal_kw": 10.0}),
    "RfKnockOut": ("rfko", {"amplitude": [0, 5]}, {"nominal": 2.0}),
    "VacuumGauge": ("gauge", {"pressure": [0, 1e-6]}, {"volume": "line", "base_mbar": 1e-9}),
    "IonPump": ("ion-pump", {}, {"volume": "line", "speed_l_s": 300.0}),
    "TurboPump": ("turbo", {}, {"volume": "line", "speed_l_s": 250.0, "nominal_hz": 1000.0}),
    "SectorValve": ("valve", {}, {"between": ["line", "ring"], "travel_s": 0.3}),
    "WaterCircuit": ("circuit", {"flow": [10, 200]}, {"flow_l_min": 100.0, "inlet_c": 22.0, "pump": "pump"}),
    "WaterPump": ("pump", {}, {"head_bar": 6.0, "flow_l_min": 100.0}),
    "Chiller": ("chiller", {"temperature": [10, 30]}, {"capacity_kw": 100.0}),
    "StripperFoil": ("foil", {}, {"foils": 4}),
    "CurrentTransformer": ("dcct", {}, {"role": "ring", "full_scale_ma": 20.0}),
    "BeamPositionMonitor": ("bpm", {}, {}),
    "ProfileMonitor": ("harp", {}, {"travel_s": 0.3}),
    "FaradayCup": ("cup", {}, {"travel_s": 0.3}),
    "BeamLossMonitor": ("blm", {"rate": [0, 1e5]}, {"trip_rate": 1e5}),
    "BeamStopper": ("stopper", {}, {"travel_s": 0.3}),
    "Slit": ("slit", {"centre": [-50, 50], "gap": [0, 100]}, {"plane": "x", "speed_mm_s": 200.0}),
    "Degrader": ("degrader", {"thickness": [0, 300]}, {"speed_mm_s": 500.0}),
    "SafetyDoor": ("door", {}, {}),
    "EmergencyStop": ("stop", {}, {}),
    "SearchStation": ("search", {}, {"buttons": ["back", "exit"]}),
    "RadiationMonitor": ("radiation", {}, {"background_usv_h": 0.1, "alarm": 20.0}),
    "Couch": (
        "couch",
        {"x": [-300, 300], "y": [-300, 300], "z": [-600, 600], "yaw": [-100, 100]},
        {"speed_mm_s": 100.0, "speed_deg_s": 20.0},
    ),
    "Gantry": ("gantry", {"angle": [-185, 185]}, {"speed_deg_s": 60.0}),
    "Snout": ("snout", {"extension": [0, 400]}, {"speed_mm_s": 200.0}),
    "RangeShifter": ("shifter", {}, {"thickness_mm": 30.0, "travel_s": 0.3}),
    "RespirationMonitor": ("breath", {}, {"period_s": 4.0, "amplitude_mm": 10.0}),
    "LayerChamber": ("layers", {}, {"layers": 120, "pitch_mm": 2.0}),
    "ReferenceChamber": ("reference", {}, {"depth_mm": 25.0, "gy_mm2_per_nc": 3.5}),
    "EnvironmentStation": ("air", {}, {"temperature_c": 22.0, "pressure_hpa": 1005.0}),
}
"""Class -> wire, limits, plant section."""

IN_A_ROOM = {
    "SafetyDoor",
    "EmergencyStop",
    "SearchStation",
    "RadiationMonitor",
    "Couch",
    "Gantry",
    "Snout",
    "RangeShifter",
    "RespirationMonitor",
    "LayerChamber",
    "ReferenceChamber",
    "EnvironmentStation",
}
CENTRAL = {"Timing": "central/timing/1", "Interlock": "central/interlock/1", "Nozzle": "room1/beam/nozzle"}


def name_of(tango_class: str) -> str:
    """Name of the device of a class."""
    return f"test/equipment/{EQUIPMENT[tango_class][0]}"


def write(folder: Path) -> Site:
    """Write the site file into a folder and load it."""
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    for part in ("interlock", "roles"):
        content[part] = str(sites.DEFAULT_SITE.parent / content[part])
    content["servers"] = [{"name": SERVER}]
    content["archive"] = {"blocks": [f"crate/server/{SERVER}"], "spots": "room1/beam/nozzle"}
    demo = [d for d in content["devices"] if d["class"] in CENTRAL]
    content["devices"] = [d | {"server": SERVER} for d in demo] + [
        {
            "name": name_of(kind),
            "class": kind,
            "server": SERVER,
            "area": "room" if kind in IN_A_ROOM else "accelerator",
            "wire": wire,
            "limits": limits,
            "plant": plant,
        }
        | ({"room": "room1"} if kind in IN_A_ROOM else {})
        for kind, (wire, limits, plant) in EQUIPMENT.items()
    ]
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(content))
    return sites.load(path)
