"""Overrides, couch, metal, a body that is not drawn, and what is refused before time is spent."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from tps_phantoms import box, regions, water_box

from common.dicom import ct as ct_codec
from common.dicom import structures as structure_codec
from common.errors import BadInput
from tps_engine.patient import body, model, overrides, stopping_power
from tps_engine.patient.model import ModelOptions
from tps_engine.patient.overrides import Override

TABLE = stopping_power.load()


def built(hu=None, options=None, rois=None, names=(), target="cube", **changes):
    """A patient of the water box with other CT numbers, regions or options."""
    ct, structures = water_box()
    if hu is not None:
        ct = replace(ct, hu=hu)
    structures = replace(structures, rois={**structures.rois, **(rois or {})})
    return model.build(replace(ct, **changes), structures, list(names), target, TABLE, options)


def told(patient, *words):
    return any(all(word in text for word in words) for text in patient.warnings)


@pytest.mark.requirement("TPS-MODEL")
def test_overrides_by_priority_and_kind():
    options = ModelOptions(
        overrides=(
            Override("organ", hu=-1000.0),
            Override("cube", rsp=1.3, priority=2),
            Override("rod", material="titanium", priority=5),
            Override("bolus", density=1.05),
        )
    )
    rois = regions(
        rod=("", box((-30, 30), (-4.0, 4.0), water_box()[0].z[18:22])),
        bolus=("BOLUS", box((-30, 30), (-87, -84.5), water_box()[0].z[15:25])),
    ).rois
    patient = built(options=options, rois=rois, names=["organ"])
    titanium = 3.18
    rod, cube = patient.region("rod"), patient.region("cube")
    assert patient.rsp[rod] == pytest.approx(titanium, abs=0.02)
    assert patient.rsp[cube & ~rod] == pytest.approx(1.3)
    assert patient.rsp[patient.region("organ") & ~rod] == pytest.approx(0.0011)
    # matter outside the body: it stops the beam and belongs to no body
    bolus = patient.region("bolus")
    assert bolus.any()
    assert not (bolus & patient.body).any()
    assert patient.rsp[bolus] == pytest.approx(1.041, abs=1e-3)
    for words in (("organ", "0.001"), ("cube", "1.300", "priority 2"), ("rod", "3.18")):
        assert told(patient, "override", *words)
    clash = ModelOptions(overrides=(Override("cube", rsp=1.3), Override("rod", rsp=2.0)))
    with pytest.raises(BadInput, match="cube and rod overlap with the same priority"):
        built(options=clash, rois=rois)


@pytest.mark.requirement("TPS-MODEL")
def test_overrides_that_cannot_be_are_refused():
    for bad, says in (
        ({}, "give one of"),
        ({"rsp": 1.0, "hu": 0.0}, "give one of"),
        ({"rsp": 1.0, "material": "water"}, "give one of"),
    ):
        with pytest.raises(BadInput, match=says):
            Override("cube", **bad)
    for override, says in (
        (Override("cube", rsp=-0.1), "allowed are 0 to 20"),
        (Override("cube", rsp=float("nan")), "allowed are 0 to 20"),
        (Override("cube", hu=9000.0), "outside table"),
        (Override("cube", density=0.0), "positive"),
        (Override("cube", material="cheese"), "no material named cheese"),
        (Override("liver", rsp=1.0), "no region named liver"),
    ):
        with pytest.raises(BadInput, match=says):
            built(options=ModelOptions(overrides=(override,)))


@pytest.mark.requirement("TPS-MODEL")
def test_a_couch_is_inserted_behind_the_patient():
    """A beam from behind crosses two shells and the core, whatever the voxels."""
    thin = replace(overrides.load_couch("carbon-foam", top=84.2), width=120.0, thickness=3.7)
    couch = replace(thin, thickness=5.5)
    # the shells of the thin one meet
    for placed, water in ((thin, 3.7 * 1.42), (couch, 4.0 * 1.42 + 1.5 * 0.05)):
        patient = built(options=ModelOptions(couch=placed))
        column = patient.rsp[20, :, 25][~patient.body[20, :, 25]]
        air = 3.0 * len(column) - placed.thickness
        assert column.sum() * 3.0 == pytest.approx(water + 0.0011 * air, rel=1e-3)
    assert not (patient.region(model.COUCH) & patient.body).any()
    x = patient.grid.axis(0)
    assert patient.rsp[20, 58, np.abs(x) > 62.0].max() == pytest.approx(0.0011)
    assert told(patient, "couch carbon-foam", "84.2 mm")
    # a prone patient lies with the face towards it
    turned = built(options=ModelOptions(couch=replace(couch, top=-84.2)), patient_position="HFP")
    assert np.flatnonzero(turned.region(model.COUCH)[20, :, 25]).max(initial=0) < 5
    with pytest.raises(BadInput, match="lies outside the image"):
        built(options=ModelOptions(couch=replace(couch, top=500.0)))
    with pytest.raises(BadInput, match="the image shows HFDR"):
        built(options=ModelOptions(couch=couch), patient_position="HFDR")


@pytest.mark.requirement("TPS-MODEL")
def test_metal_is_kept_refused_or_taken_as_a_material():
    hu = water_box()[0].hu.copy()
    hu[20, 30, 24:27] = 3000.0
    assert told(built(hu), "metal", "cube", "not known")
    patient = built(hu, ModelOptions(metal="titanium"))
    assert patient.rsp[20, 30, 24:27] == pytest.approx(3.18, abs=0.02)
    assert told(patient, "metal", "taken as titanium")
    with pytest.raises(
        BadInput, match=r"metal in the body \(CT above 2000 HU\): 0\.1 cm3, in cube; name its"
    ):
        built(hu, ModelOptions(metal="refuse"))
    with pytest.raises(BadInput, match="no material named gum"):
        built(hu, ModelOptions(metal="gum"))


@pytest.mark.requirement("TPS-MODEL")
def test_values_outside_the_table_are_told_or_refused():
    hu = water_box()[0].hu.copy()
    hu[0] = -3024.0  # outside the body: nobody cares
    hu[20, 30, 20:23] = -1500.0
    hu[20, 31, 20:22] = 4095.0
    patient = built(hu)
    assert told(patient, "5 CT values in the body", "-1024 to 3071 HU", "in cube")
    with pytest.raises(BadInput, match="5 CT values in the body lie outside table generic-120kv"):
        built(hu, ModelOptions(outside="refuse"))
    with pytest.raises(BadInput, match="clamp and refuse"):
        built(hu, ModelOptions(outside="no"))


@pytest.mark.requirement("TPS-MODEL")
def test_a_body_is_found_where_none_is_drawn():
    ct, structures = water_box()
    hu = np.full(ct.hu.shape, -1000.0, dtype=np.float32)
    y, x = np.meshgrid(np.arange(60) - 28, np.arange(50) - 25, indexing="ij")
    inside = (x / 18.0) ** 2 + (y / 22.0) ** 2 <= 1.0
    hu[:, inside] = 0.0
    hu[:, (np.abs(x + 8) < 5) & (np.abs(y) < 6)] = -800.0  # a lung
    hu[:, 51:53, 2:48] = 100.0  # a couch that touches the back
    without = {name: roi for name, roi in structures.rois.items() if name != "External"}
    bare = replace(structures, rois=without)
    patient = model.build(replace(ct, hu=hu), bare, [], "cube", TABLE)
    wrong = patient.body ^ np.broadcast_to(inside, hu.shape)
    assert wrong.sum() < 0.04 * inside.sum() * len(hu)
    assert not patient.body[:, 51:, :15].any()
    assert patient.body[20, 28, 17]
    assert told(patient, "found in the image")
    assert told(patient, "matter outside the External")
    with pytest.raises(BadInput, match="no body outline"):
        model.build(replace(ct, hu=hu), bare, [], "cube", TABLE, ModelOptions(find_body=False))
    with pytest.raises(BadInput, match="no body above -350 HU"):
        body.find(np.full(hu.shape, -1000.0, dtype=np.float32), patient.grid)


@pytest.mark.requirement("TPS-PATIENT")
def test_bad_input_is_refused_before_time_is_spent(monkeypatch):
    ct, _structures = water_box()
    hu = ct.hu.copy()
    hu[3, 4, 5] = np.nan
    called = []
    monkeypatch.setattr(model.contours, "rasterise", lambda *args: called.append(args))
    for message, arguments in (
        ("no numbers", {"hu": hu}),
        ("frames of reference", {"frame_of_reference_uid": "1.9"}),
        ("not enough memory: the patient model needs", {"options": ModelOptions(memory=100_000)}),
        ("no region named ghost", {"names": ["ghost"]}),
        ("no closed contour", {"target": "empty", "rois": regions(empty=("PTV", ())).rois}),
    ):
        with pytest.raises(BadInput, match=message):
            built(**arguments)
    assert called == []
    monkeypatch.undo()
    far = regions(far=("ORGAN", box((200, 220), (-9, 9), ct.z[18:22]))).rois
    with pytest.raises(BadInput, match="region far lies outside the image"):
        built(rois=far, names=["far"])
    part = regions(part=("ORGAN", box((60, 90), (-9, 9), ct.z[18:22]))).rois
    assert told(built(rois=part, names=["part"]), "region part reaches beyond the image")


@pytest.mark.requirement("TPS-MODEL")
def test_warnings_of_the_images_reach_the_planner_and_fractions_any_grid():
    patient = built(warnings=("slices were interpolated",))
    assert patient.warnings[0] == "slices were interpolated"
    _ct, structures = water_box()
    grid = replace(patient.grid, spacing=(3.7, 2.9, 5.0), shape=(24, 60, 40))
    parts = model.fractions_on(structures, ["cube", "organ"], grid)
    # ten slices of 3 mm between -13.5 and 13.5 mm, 30 x 30 mm
    assert parts["cube"].cm3(grid) == pytest.approx(27.0, rel=0.01)
    assert parts["organ"].cm3(grid) == pytest.approx(18.0, rel=0.01)
    with pytest.raises(BadInput, match="outside the image"):
        model.fractions_on(structures, ["cube"], replace(grid, origin=(500.0, 0.0, 0.0)))


@pytest.mark.requirement("TPS-PATIENT")
def test_real_abdomen_with_its_metal_hip(shared_data):
    folder = shared_data / "ct_abdomen_pelvis_real" / "dicom"
    ct = ct_codec.read_series(pydicom.dcmread(path) for path in sorted(folder.glob("CT_*.dcm")))
    drawn = structure_codec.from_dataset(pydicom.dcmread(folder / "RS.dcm"))
    patient = model.build(ct, drawn, ["kidney_left"], "vertebrae_L3", TABLE, ModelOptions(metal="titanium"))
    assert told(patient, "metal", "femur_left", "taken as titanium")
    assert told(patient, "matter outside the External")
    # the body that is found is the body that is drawn
    found = body.find(ct.hu, patient.grid)
    overlap = 2.0 * (found & patient.body).sum() / (found.sum() + patient.body.sum())
    assert overlap > 0.97
    parts = model.fractions_on(drawn, ["kidney_left", "vertebrae_L3"], patient.grid)
    assert parts["kidney_left"].cm3(patient.grid) == pytest.approx(114.8, rel=0.01)
