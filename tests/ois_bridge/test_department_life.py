"""Images, plan and records of a seeded patient: made by the loop's own code, and true to each other."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from common import site
from common.dicom import files, ion_plan, ion_record, rt_dose, structures
from common.dicom.checker import check
from common.dicom.plan import PatientIdentity
from ptcs.department_life import planning
from ptcs.department_life.beam import Fraction, Hardware, hash_of
from ptcs.department_life.bodies import REGIONS
from ptcs.department_life.case import Case, chosen
from tps_engine.beamdata import model as beam_models

pytestmark = pytest.mark.requirement("OIS-TIMELINE")
SITE = site.load()
BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)


def case(diagnosis: str = "NPC", target: str = "PGTVnx", treated: int = 2) -> Case:
    done = {name: BEGIN - timedelta(days=9) for name in ("simulation", "contouring", "planning")}
    days = tuple(BEGIN + timedelta(days=number) for number in range(treated))
    who = PatientIdentity("DEMO-00001", "Li^Ting=李^婷", "19700101", "F")
    return Case(diagnosis, who, REGIONS[diagnosis], diagnosis, target, 2.12, 33, done, days)


def test_objects_of_a_patient_are_conformant_and_agree(tmp_path: Path) -> None:
    wanted = case()
    made = planning.make(wanted, SITE, beam_models.load(SITE.beam_model))
    hardware, digest = Hardware(SITE), hash_of(made.plan_object)
    whole = hardware.give(made.plan, digest, Fraction(1, BEGIN, ("guo.tao", "lin.xue")))
    parts = hardware.give(made.plan, digest, Fraction(2, BEGIN + timedelta(days=1), ("lin.xue",), 0.4))
    objects = [*made.objects, *whole, *parts]
    assert [finding for ds in objects for finding in check(ds)] == []
    assert {(str(ds.PatientID), str(ds.PatientName)) for ds in objects} == {("DEMO-00001", "Li^Ting=李^婷")}
    by_kind = {str(ds.Modality): ds for ds in objects}
    assert set(by_kind) == {"CT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD"}
    plan = ion_plan.from_dataset(by_kind["RTPLAN"])
    drawn = structures.from_dataset(by_kind["RTSTRUCT"])
    assert plan.structure_set_uid == drawn.sop_instance_uid
    dose = rt_dose.from_dataset(by_kind["RTDOSE"]).dose
    assert np.quantile(dose[dose > 0.9 * 2.12 * 33], 0.5) == pytest.approx(2.12 * 33, rel=0.04)
    planned = sum(beam.meterset for beam in plan.beams)
    for records, count in ((whole, 1), (parts, 2)):
        read = [ion_record.from_dataset(ds) for ds in records]
        assert [record.part for record in read] == list(range(1, count + 1))
        assert sum(beam.delivered_mu for one in read for beam in one.beams) == pytest.approx(planned, 1e-3)
    first = ion_record.from_dataset(parts[0])
    assert first.beams[-1].termination == "OPERATOR"
    assert first.beams[-1].cause == "interrupted by lin.xue"
    assert datetime.fromtimestamp(first.start_ns / 1e9, UTC) == BEGIN + timedelta(days=1)
    conformant(tmp_path, [by_kind[kind] for kind in ("CT", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD")])


def test_a_few_patients_show_many_diagnoses() -> None:
    cases = [case(name, "PTV", count) for name, count in (("NPC", 9), ("NPC", 3), ("GLIOMA", 20), ("NPC", 0))]
    assert [(one.diagnosis, len(one.treated)) for one in chosen(cases, 2)] == [("NPC", 3), ("GLIOMA", 20)]
    assert [len(one.treated) for one in chosen(cases, 9)] == [3, 20, 9, 0]
    assert chosen([], 4) == []


def conformant(folder: Path, objects: list) -> None:  # type: ignore[type-arg]
    """By an independent judge; its one known fault is about VERIFIED."""
    if shutil.which("dciodvfy") is None:
        return
    for ds in objects:
        files.write_file(ds, folder / "object.dcm")
        command = ["dciodvfy", "-new", str(folder / "object.dcm")]
        verdict = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        errors = [line for line in verdict.stderr.splitlines() if line.startswith("Error")]
        assert [line for line in errors if "TreatmentVerificationStatus" not in line] == [], ds.Modality
