"""After the fraction: records in the OIS, archive export, reconstructed dose, report, output folder."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import write_atomic, write_json
from common.links import dimse
from common.text import LANGUAGES, _
from ptcs.client import connect
from ptcs.demo.context import Demo, run_tango_job, run_tps_job

PICTURES = ("dose_planes", "dvh", "spot_map", "gamma")
FOLDERS = {"CT": "ct", "RTSTRUCT": "structures", "RTPLAN": "plan", "RTRECORD": "record"}
IMAGES = ("CT", "RTSTRUCT")
DEMO_AET = "PTCS_CT"


def recorded(demo: Demo, plan_uid: str, fraction: int = 1) -> list[str]:
    """SOP Instance UIDs of the fraction's records. Raises BadInput unless the OIS calls it delivered."""
    with demo.step("OIS", _("records the fraction")), demo.ois("physicist") as ois:
        fractions = ois.get(f"/plans/{plan_uid}/fractions")
    ours = next(row for row in fractions if row["number"] == fraction)
    demo.summary["fraction"] = ours
    if ours["state"] != "DELIVERED":
        raise BadInput(f"fraction {fraction} is {ours['state']}, expected DELIVERED")
    return list(ours["parts"])


def export_archive(demo: Demo) -> Path:
    """The fraction's device history, cut out of the archive by time."""
    delivery = demo.summary["delivery"]
    path = demo.options.out / "archive" / "fraction.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with demo.step("ACS", _("exports the fraction's device history")):
        client = connect(demo.state.root, "operator", demo.passwords["operator"])
        archiver = client.proxy("services/archive/1")
        archiver.command_inout("Flush")
        span = {
            "start": datetime.fromisoformat(delivery["start"]).timestamp(),
            "end": (datetime.fromisoformat(delivery["end"]) + timedelta(seconds=1)).timestamp(),
            "path": str(path),
        }
        run_tango_job(archiver, "Export", json.dumps(span))
    return path


def reconstruct(demo: Demo, plan_uid: str, records: list[str]) -> dict[str, bytes]:
    """The delivered dose by the TPS service; its pictures in every language."""
    request = {"kind": "reconstruct", "plan_uid": plan_uid, "record_uids": records}
    with demo.step("TPS", _("recomputes the delivered dose")) as step, demo.tps("physicist") as tps:
        job, result = run_tps_job(tps, request, step)
        names = [f"{picture}-{language}.png" for picture in PICTURES for language in LANGUAGES]
        pictures = {name: tps.download(f"/jobs/{job}/artefacts/{name}") for name in names}
    demo.summary["verification"] = result
    return pictures


def report(demo: Demo, plan_uid: str, pictures: dict[str, bytes], fraction: int = 1) -> None:
    """The treatment report, composed and kept by the OIS, in both languages."""
    with demo.step("OIS", _("writes the treatment report")), demo.ois("physicist") as ois:
        files = {
            name.removesuffix(".png"): (name, content, "image/png") for name, content in pictures.items()
        }
        answer = ois.post_files(
            f"/plans/{plan_uid}/fractions/{fraction}/report",
            {"summary": json.dumps(demo.summary)},
            files,
        )
        for language in ("en", "zh"):
            pdf = ois.download(f"/reports/{answer['id']}.pdf?lang={language}")
            write_atomic(demo.options.out / "report" / f"report-{language}.pdf", pdf)
        for name, content in pictures.items():
            write_atomic(demo.options.out / "report" / name, content)


def collect(demo: Demo, patient_id: str, records: list[str]) -> None:
    """Images, structures, and this plan with its doses and records into the output folder, as DICOM files."""
    planned, delivered = demo.summary["plan"], demo.summary["verification"]["dose_uid"]
    ours = {planned["plan_uid"], planned["dose_uid"], delivered, *records}
    with demo.step("OIS", _("hands out the DICOM objects")) as step:
        held = dimse.fetch(demo.ois_dicom, DEMO_AET, PatientID=patient_id)
        datasets = [ds for ds in held if ds.Modality in IMAGES or ds.SOPInstanceUID in ours]
        for count, ds in enumerate(datasets, start=1):
            folder = FOLDERS.get(str(ds.Modality), "dose")
            if ds.SOPInstanceUID == delivered:
                folder = "dose-delivered"
            path = demo.options.out / folder / f"{ds.SOPInstanceUID}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path, enforce_file_format=True)
            step.update(count / len(datasets))


def write_summary(demo: Demo) -> None:
    """summary.json as described by config/schema/summary.schema.json."""
    write_json(demo.options.out / "summary.json", demo.summary)


def verdict(summary: dict[str, Any]) -> list[str]:
    """What falls short of the plan's goals or the delivery's tolerances; empty when nothing does."""
    target = summary["plan"]["metrics"]["target"]
    prescription = float(target["prescription"])
    failures = [str(text) for text in summary["verification"]["failures"]]
    if target["d95"] < 0.95 * prescription:
        failures.append(f"target D95 {target['d95']:.3f} Gy is below 95 % of {prescription:g} Gy")
    if target["d2"] > 1.07 * prescription:
        failures.append(f"target D2 {target['d2']:.3f} Gy is above 107 % of {prescription:g} Gy")
    return failures
