import copy

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from session_fakes import ANN, World, plan
from treatment_samples import beam

from common.dicom.files import to_bytes
from common.errors import BadInput, Refused, Tampered
from treatment.approval import Fraction
from treatment.session import IllegalStep

HALF = 10_000
"""Counts well within the first beam."""


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.bench.journal.close()


@pytest.mark.requirement("TCS-IRRADIATE")
def test_a_fraction_known_elsewhere_is_not_guessed(world):
    world.ois.fractions = (Fraction(1, "PARTIAL", 0.5),)
    with pytest.raises(Refused, match=r"0\.50 MU of fraction 1, this machine's journal 0\.00 MU"):
        world.load()
    world.ois.fractions = (Fraction(1, "DELIVERED", 3.0),)
    with pytest.raises(Refused, match="already delivered"):
        world.load()
    with pytest.raises(Refused, match="fraction 31: the plan has 30"):
        world.load(31)
    assert world.state == "IDLE"


@pytest.mark.requirement("OIS-RV")
@pytest.mark.parametrize("state", ["ARRIVED", "SUBMITTED", "REVOKED"])
def test_a_plan_that_is_not_approved_is_refused(world, state):
    world.ois.state = state
    with pytest.raises(Refused, match=f"the plan is {state}"):
        world.load()
    assert (world.state, world.plan_file().exists()) == ("IDLE", False)


@pytest.mark.requirement("OIS-RV", "OIS-COURSE")
@pytest.mark.parametrize("course", ["INTERRUPTED", "CANCELLED", "ENDED", "HISTORY", ""])
def test_a_plan_of_a_stopped_course_is_refused(world, course):
    world.ois.course_state = course
    with pytest.raises(Refused, match="only an active course is treated"):
        world.load()
    assert (world.state, world.plan_file().exists()) == ("IDLE", False)


@pytest.mark.requirement("OIS-RV")
def test_a_plan_altered_in_transit_or_falsely_signed_is_refused(world):
    honest = world.ois.dataset
    altered = copy.deepcopy(honest)
    altered.IonBeamSequence[0].IonControlPointSequence[0].GantryAngle = "91"
    world.ois.dataset = altered
    with pytest.raises(Tampered, match="as fetched"):
        world.load()
    world.ois.dataset, world.ois.signed_hash = honest, "0" * 64
    with pytest.raises(Tampered, match="altered after its approval"):
        world.load()
    world.ois.signed_hash, world.ois.key = None, Ed25519PrivateKey.generate()
    with pytest.raises(Tampered, match="not accepted"):
        world.load()
    assert (world.state, world.plan_file().exists()) == ("IDLE", False)


@pytest.mark.requirement("OIS-RV")
def test_a_plan_altered_at_rest_is_refused_before_the_beam(world):
    world.to_ready()
    altered = copy.deepcopy(world.ois.dataset)
    weights = altered.IonBeamSequence[0].IonControlPointSequence[0].ScanSpotMetersetWeights
    altered.IonBeamSequence[0].IonControlPointSequence[0].ScanSpotMetersetWeights = [2 * w for w in weights]
    world.overwrite_plan(to_bytes(altered))
    with pytest.raises(Tampered, match="altered after its approval"):
        world.do("StartIrradiation")
    assert (world.state, world.hardware.state) == ("READY", "LOADED")
    world.kill()
    world.boot()
    assert world.state == "FAULT"
    assert "altered after its approval" in world.ledger.cause


@pytest.mark.requirement("OIS-RV")
@pytest.mark.parametrize(("name", "spot"), [("preset", 2), ("x", 0), ("done", 5), ("energy", 1)])
def test_a_map_altered_in_the_hardware_is_refused_and_named(world, name, spot):
    def alter(arrays):
        arrays[name][spot] += 1

    world.hardware.alter = alter
    world.load()
    world.identify()
    world.do("Position", "VerifySetup")
    with pytest.raises(Tampered, match=f"{spot}: {name} is"):
        world.do("RequestBeam")
    assert (world.state, world.hardware.requested, world.room.owner) == ("VERIFIED", False, "")
    world.hardware.alter = None
    world.do("RequestBeam")
    alter(world.hardware.map)
    with pytest.raises(Tampered, match=f"{spot}: {name} is"):
        world.do("StartIrradiation")
    assert (world.state, world.hardware.state) == ("READY", "LOADED")


@pytest.mark.requirement("OIS-RV")
def test_a_plan_revoked_since_loading_gets_no_beam_but_a_silent_ois_does_not_matter(world):
    world.load()
    world.identify()
    world.do("Position", "VerifySetup")
    world.ois.state = "REVOKED"
    with pytest.raises(Refused, match="REVOKED"):
        world.do("RequestBeam")
    world.ois.state, world.ois.down = "APPROVED", True
    world.do("RequestBeam", "StartIrradiation")
    assert world.state == "IRRADIATING"


@pytest.mark.requirement("TCS-WORKFLOW")
@pytest.mark.parametrize(
    "wrong", [("P-18", "1960-02-03"), ("P-17", "1960-02-04"), ("p-17", "1960-02-03"), ("", "")]
)
def test_both_identifiers_must_be_the_patients(world, wrong):
    world.load()
    with pytest.raises(Refused, match="not those of the plan's patient") as caught:
        world.console.flow.confirm_identity(*wrong, ANN)
    assert "P-17" not in str(caught.value)
    assert world.state == "LOADED"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"machine": "OTHER"}, "the plan is for machine OTHER"),
        ({"patient_position": "FFS"}, "HFS only"),
        ({"beams": (beam(1, spots=(2, 2, 2)), beam(2))}, None),
    ],
)
def test_plans_for_another_machine_or_position_are_refused(tmp_path, changes, text):
    world = World(tmp_path, plan(**changes))
    if text is None:
        world.load()
        assert world.state == "LOADED"
    else:
        with pytest.raises(Refused, match=text):
            world.load()
        assert world.state == "IDLE"
    world.bench.journal.close()


def test_an_energy_that_the_machine_lacks_is_refused_at_loading(tmp_path):
    layers = beam(1).layers
    odd = type(layers[0])(**{**vars(layers[0]), "energy": 139.9})
    changed = type(beam(1))(**{**vars(beam(1)), "layers": (odd, layers[1])})
    world = World(tmp_path, plan(beams=(changed,)))
    with pytest.raises(Refused, match=r"wants 139.90 MeV.*nearest: 140.00 MeV"):
        world.load()
    world.bench.journal.close()


@pytest.mark.requirement("TCS-WORKFLOW")
@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda room: setattr(room, "gantry", 92.0), "gantry at 92.00 deg, planned 90.00"),
        (lambda room: room.couch.update(x=1.2), "couch x at 1.20, planned 0.00"),
        (lambda room: room.couch.update(yaw=float("nan")), "couch yaw"),
        (lambda room: setattr(room, "moving", True), "is moving"),
        (lambda room: setattr(room, "pressure", 700.0), "700.0 hPa"),
    ],
)
def test_a_room_that_is_not_as_planned_is_refused_at_each_gate(world, spoil, text):
    world.load()
    world.identify()
    world.do("Position")
    spoil(world.room)
    with pytest.raises(Refused, match=text):
        world.do("VerifySetup")
    world.room.pressure, world.room.moving = 1003.0, False
    world.do("Position", "VerifySetup", "RequestBeam")
    spoil(world.room)
    with pytest.raises(Refused, match=text):
        world.do("StartIrradiation")
    assert (world.state, world.hardware.state) == ("READY", "LOADED")


@pytest.mark.requirement("TCS-DOSE")
def test_air_that_drifts_during_a_fraction_is_refused(world):
    world.to_ready()
    frozen = world.ledger.k_tp
    world.room.pressure = 1001.0
    world.do("StartIrradiation")
    world.hardware.deliver(HALF)
    world.safe("InterruptIrradiation")
    world.room.pressure = 996.0
    with pytest.raises(Refused, match="drifted"):
        world.do("ResumeIrradiation")
    assert world.state == "INTERRUPTED"
    world.room.pressure = 1003.0
    world.do("ResumeIrradiation")
    assert world.ledger.k_tp == frozen


@pytest.mark.requirement("TCS-WORKFLOW")
def test_steps_out_of_turn_are_refused_and_change_nothing(world):
    for name in ("Position", "VerifySetup", "RequestBeam", "StartIrradiation", "ResumeIrradiation", "Unload"):
        with pytest.raises(IllegalStep):
            world.do(name)
    with pytest.raises(IllegalStep):
        world.identify()
    assert world.state == "IDLE"
    assert "start" not in world.hardware.said


def test_an_unsound_plan_is_refused(world):
    broken = copy.deepcopy(world.ois.dataset)
    broken.IonBeamSequence[0].NumberOfControlPoints = 2
    from common.dicom.canonical import plan_hash

    world.ois.dataset, world.ois.hash = broken, plan_hash(broken)
    with pytest.raises(BadInput):
        world.load()
    assert world.state == "IDLE"
