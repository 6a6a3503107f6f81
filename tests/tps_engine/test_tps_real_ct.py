"""A plan on the real abdomen: vertebra L3 from two posterior-oblique fields."""

import numpy as np
import pydicom
import pytest

from common.dicom import ct, structures
from common.errors import BadInput
from tps_engine.beamdata import model
from tps_engine.patient import model as patient_model
from tps_engine.patient import stopping_power
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, Prescription


@pytest.fixture(scope="module")
def abdomen(shared_data):
    folder = shared_data / "ct_abdomen_pelvis_real" / "dicom"
    images = [pydicom.dcmread(path) for path in sorted(folder.glob("CT_*.dcm"))]
    return ct.read_series(images), structures.from_dataset(pydicom.dcmread(folder / "RS.dcm"))


@pytest.mark.slow
@pytest.mark.requirement("SYS-LOOP")
@pytest.mark.requirement("TPS-OPTIMISE")
def test_vertebra_is_covered_and_organs_are_spared(abdomen):
    organs = (
        OrganLimit("kidney_left", 18.0),
        OrganLimit("kidney_right", 18.0),
        OrganLimit("spinal_cord", 50.0),
    )
    wanted = Prescription("vertebrae_L3", 2.0, 25, organs)
    fields = (FieldRequest("LPO", 150.0), FieldRequest("RPO", 210.0))
    beam = model.load("proton-generic")
    result = make_plan(*abdomen, wanted, fields, beam)
    target = result.dose[result.regions["vertebrae_L3"]]
    assert np.percentile(target, 5) >= 0.95 * 2.0
    assert np.percentile(target, 98) <= 1.07 * 2.0
    for kidney in ("kidney_left", "kidney_right"):
        assert result.dose[result.regions[kidney]].mean() < 0.1
    # the canal runs through the vertebra: no hot spot in it, and none outside the vertebra's height
    assert result.dose[result.regions["spinal_cord"]].max() <= 1.07 * 2.0
    assert any("metal" in text and "femur_left" in text for text in result.warnings)
    assert min(layer.mu.min() for planned in result.beams for layer in planned.layers) >= 0.02


@pytest.mark.requirement("TPS-PATIENT")
def test_prostate_at_the_image_edge_is_refused(abdomen):
    with pytest.raises(BadInput, match="prostate is cut by the image edge"):
        patient_model.build(*abdomen, [], "prostate", stopping_power.load())
    with pytest.raises(BadInput, match="no region named tumour: this structure set holds External"):
        patient_model.build(*abdomen, [], "tumour", stopping_power.load())
