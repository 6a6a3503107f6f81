"""Beam stoppers follow the interlock: without its permit they are closed, whatever they were told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common import site as sites
from common.errors import Refused
from common.wire.frame import Frame, Kind
from simulation.plant.__main__ import PlantCrate
from simulation.plant.plant import Plant
from simulation.wire_server import Client

STOPPER = {"name": "acs/diag/stopper", "class": "BeamStopper", "server": "accelerator", "area": "accelerator"}
PLANT = {"travel_s": 0.5, "permit": "stopper"}


@pytest.fixture
def crate(tmp_path: Path) -> PlantCrate:
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    content["devices"].append({**STOPPER, "wire": "stopper", "plant": PLANT})
    for name in ("interlock", "roles"):
        content[name] = str(sites.DEFAULT_SITE.parent / content[name])
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(content))
    return PlantCrate(Plant(sites.load(tmp_path / "site.yaml")))


def client(name: str) -> Client:
    return Client(None, name)  # type: ignore[arg-type]  # nothing is written to it


def tell(crate: PlantCrate, who: Client, **body: Any) -> None:
    crate.handle(who, Frame(Kind.REQUEST, 1, body))


def position(crate: PlantCrate, seconds: float = 1.0) -> float:
    for _ in range(round(seconds / 0.05)):
        crate.plant.step(0.05)
    return float(crate.plant.families["BeamStopper"].values[0, 0])


def pass_by(crate: PlantCrate, seconds: float) -> None:
    """Wall time as the process sees it, in steps of 20 ms."""
    for _ in range(round(seconds / 0.02)):
        crate._last -= 0.02
        crate.step()


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_stopper_opens_and_closes_with_its_permit(crate: PlantCrate) -> None:
    hardware = client("fpga")
    tell(crate, hardware, do="permits", permits={"stopper": True, "room1": False})
    tell(crate, client("transport"), do="open", device="stopper")
    assert position(crate) == 1.0
    tell(crate, hardware, do="permits", permits={"stopper": False, "room1": True})
    assert 0.0 < position(crate, 0.25) < 1.0
    assert position(crate) == 0.0
    tell(crate, client("transport"), do="open", device="stopper")
    assert position(crate) == 0.0, "told to open, and not permitted"
    tell(crate, hardware, do="permits", permits={"stopper": True})
    assert position(crate) == 1.0


@pytest.mark.requirement("ACS-INTERLOCK")
def test_beam_hardware_that_leaves_takes_every_permit_along(crate: PlantCrate) -> None:
    hardware = client("fpga")
    tell(crate, hardware, do="permits", permits={"stopper": True})
    tell(crate, hardware, do="open", device="stopper")
    assert position(crate) == 1.0
    crate.left(client("gui"))
    assert position(crate) == 1.0
    crate.left(hardware)
    assert position(crate) == 0.0


@pytest.mark.requirement("ACS-INTERLOCK")
def test_permits_that_are_not_repeated_lapse(crate: PlantCrate) -> None:
    hardware = client("fpga")
    tell(crate, hardware, do="open", device="stopper")
    for _repeat in range(30):
        tell(crate, hardware, do="permits", permits={"stopper": True})
        pass_by(crate, 0.1)
    assert position(crate, 0.0) == 1.0
    pass_by(crate, 2.0)
    assert position(crate, 0.0) == 0.0, "the beam hardware is connected and says nothing"


@pytest.mark.requirement("SYS-SECURITY")
@pytest.mark.parametrize("permits", [None, [], "all", {"stopper": 1}, {"stopper": None}])
def test_permits_are_checked_and_come_from_the_beam_hardware_alone(crate: PlantCrate, permits: Any) -> None:
    with pytest.raises(Refused, match="allowed is"):
        tell(crate, client("fpga"), do="permits", permits=permits)
    with pytest.raises(Refused, match="alone"):
        tell(crate, client("gui"), do="permits", permits={"stopper": True})
