"""From the scanner to the approved plan: OIS -> TPS -> OIS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from common.dicom.structures import from_dataset as read_structures
from common.errors import BadDicom, BadInput
from common.links import dimse
from common.site import Site
from common.text import _
from ptcs.demo.context import CT_AET, Demo, run_tps_job
from simulation.scanner.scan import pelvis

SYNTHETIC_TARGET, REAL_TARGET = "prostate", "vertebrae_L3"
DOSE_PER_FRACTION, FRACTIONS, RBE_MODEL = 2.0, 20, "constant 1.1"
MADE_UP_BIRTH_DATE = "19600101"
FIELDS = {
    "spine": [{"name": "LPO", "gantry": 150.0, "couch": 0.0}, {"name": "RPO", "gantry": 210.0, "couch": 0.0}],
    "pelvis": [{"name": "LL", "gantry": 90.0, "couch": 0.0}, {"name": "RL", "gantry": 270.0, "couch": 0.0}],
}
FIXED_COUCH = (0.0, 20.0)
"""Angles of the couch in deg for the two fields of a fixed beam."""
ORGAN_GOALS = {
    "kidney_left": 0.6,
    "kidney_right": 0.6,
    "spinal_cord": 0.9,
    "bladder": 1.0,
    "rectum": 1.0,
    "femur_left": 0.7,
    "femur_right": 0.7,
}
"""Organ -> highest dose of the whole course, as a part of the prescription, in the demo."""


def images(demo: Demo) -> list[Dataset]:
    """The CT series and its RT Structure Set: the synthetic patient, or the files of `--ct`.

    Raises BadInput when the folder holds no such series, BadDicom for a file that is no DICOM.
    """
    if demo.options.ct is None:
        ct, structures = pelvis(seed=demo.options.seed)
        return [*ct, structures]
    datasets = read_folder(demo.options.ct)
    if not any(ds.get("PatientBirthDate") for ds in datasets):
        _give_birth_date(demo, datasets)
    return datasets


def _give_birth_date(demo: Demo, datasets: list[Dataset]) -> None:
    """Anonymous images lack one of the two identifiers; the demo makes one up, and says so."""
    for ds in datasets:
        ds.PatientBirthDate = MADE_UP_BIRTH_DATE
    _warn(
        demo, f"{_('the images carry no birth date; made up for this demonstration')}: {MADE_UP_BIRTH_DATE}"
    )


def _warn(demo: Demo, text: str) -> None:
    demo.summary.setdefault("warnings", []).append(text)
    demo.console.print(f"[yellow]! {_('warning')}:[/] {text}")


def read_folder(folder: Path) -> list[Dataset]:
    """All DICOM objects of a folder. Raises BadInput, BadDicom."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    datasets: list[Dataset] = []
    for path in files:
        try:
            datasets.append(pydicom.dcmread(path))
        except (InvalidDicomError, EOFError, OSError, ValueError) as why:
            raise BadDicom(f"{path.name} cannot be read as DICOM: {why}") from why
    kinds = {str(ds.get("Modality", "")) for ds in datasets}
    if not {"CT", "RTSTRUCT"} <= kinds:
        raise BadInput(
            f"{folder} needs a CT series and its RT Structure Set; it holds {sorted(kinds) or 'nothing'}"
        )
    return datasets


def choose_target(demo: Demo, names: Sequence[str]) -> str:
    """The ROI to treat. Raises BadInput naming what there is."""
    wish = demo.options.target or (SYNTHETIC_TARGET if demo.options.ct is None else REAL_TARGET)
    if wish not in names:
        raise BadInput(f"no ROI {wish!r}; allowed are {', '.join(sorted(names))}")
    return wish


def take_in(demo: Demo) -> dict[str, Any]:
    """Images to the OIS by C-STORE; patient, course and prescription there. Ids for the next steps."""
    with demo.step("OIS", _("takes in the CT and the structures")):
        datasets = images(demo)
        structure_set = next(ds for ds in datasets if ds.Modality == "RTSTRUCT")
        rois = list(read_structures(structure_set).rois)
        target = choose_target(demo, rois)
        dimse.store(demo.ois_dicom, datasets, CT_AET)
    with demo.step("OIS", _("registers patient, course and prescription")), demo.ois("physician") as ois:
        patient_id = str(structure_set.PatientID)
        if patient_id not in {row["patient_id"] for row in ois.get("/patients")}:
            ois.post("/patients", _demographics(structure_set))
        course = ois.post(f"/patients/{patient_id}/courses", {"name": "C1", "diagnosis": target})["id"]
        prescription = ois.post(
            f"/courses/{course}/prescriptions",
            {
                "target": target,
                "dose_per_fraction": DOSE_PER_FRACTION,
                "fractions": FRACTIONS,
                "rbe_model": RBE_MODEL,
                "structure_set_uid": str(structure_set.SOPInstanceUID),
                "organs": [
                    {"name": name, "max_gy": part * DOSE_PER_FRACTION * FRACTIONS}
                    for name, part in ORGAN_GOALS.items()
                    if name in rois
                ],
            },
        )["id"]
    demo.summary["prescription"] = {
        "target": target,
        "dose_per_fraction": DOSE_PER_FRACTION,
        "fractions": FRACTIONS,
        "rbe_model": RBE_MODEL,
    }
    return {
        "patient_id": patient_id,
        "birth_date": str(structure_set.get("PatientBirthDate", "")),
        "prescription_id": prescription,
        "target": target,
    }


def _demographics(ds: Dataset) -> dict[str, str]:
    return {
        "patient_id": str(ds.PatientID),
        "name": str(ds.PatientName),
        "birth_date": str(ds.get("PatientBirthDate", "")),
        "sex": str(ds.get("PatientSex", "O") or "O"),
    }


def beam_angles(site: Site, room: str) -> tuple[float, float]:
    """Lowest and highest angle of a room's gantry, deg; a fixed beam has one."""
    low, high = site.of_class("Gantry", room)[0].limits["angle"]
    return float(low), float(high)


def fields_of(target: str, angles: tuple[float, float]) -> list[dict[str, Any]]:
    """Fields for a target; behind a fixed beam the couch turns instead of the gantry."""
    low, high = angles
    if low == high:
        return [
            {"name": f"F{number}", "gantry": low % 360.0, "couch": couch}
            for number, couch in enumerate(FIXED_COUCH, start=1)
        ]
    return FIELDS["spine" if target.startswith("vertebra") else "pelvis"]


def plan(demo: Demo, case: dict[str, Any], angles: tuple[float, float]) -> dict[str, Any]:
    """A plan by the TPS service, stored by it in the OIS; the job's result."""
    fields = fields_of(case["target"], angles)
    request = {
        "kind": "plan",
        "patient_id": case["patient_id"],
        "prescription_id": case["prescription_id"],
        "fields": fields,
        "machine": demo.summary["machine"],
        "margin_mm": 3.0,
    }
    with demo.step("TPS", _("plans two fields")) as step, demo.tps("physicist") as tps:
        _job, result = run_tps_job(tps, request, step)
    for warning in result["warnings"]:
        _warn(demo, warning)
    demo.summary["plan"] = result
    return result


def approve(demo: Demo, case: dict[str, Any], plan_uid: str) -> None:
    """The physicist submits, the physician approves: two accounts, two roles."""
    with demo.step("OIS", _("physicist submits, physician approves")):
        with demo.ois("physicist") as ois:
            ois.post(f"/plans/{plan_uid}/submit", {"prescription_id": case["prescription_id"]})
        with demo.ois("physician") as ois:
            ois.post(f"/plans/{plan_uid}/approve", {"password": demo.passwords["physician"]})
            demo.summary["approval"] = {"hash": ois.get(f"/plans/{plan_uid}")["hash"]}
