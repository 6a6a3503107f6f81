"""Carrying an export out: all of it is made before the first byte leaves, so nothing is handed out half."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy.orm import Session

from common.errors import PtcsError, Refused
from common.text import _, set_language, translate
from ois_bridge.domain.permissions import Action
from ois_bridge.services import archive, overview, reports, summaries
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.export import tables, workbook
from ois_bridge.services.export.choice import Choice
from ois_bridge.services.export.tables import FormNames
from ois_bridge.services.export.workbook import Cell, Sheet
from ois_bridge.services.forms import designs as form_designs
from ois_bridge.services.forms import printing
from ois_bridge.services.overview import PatientView

CHUNK = 256 * 1024
MEDIA = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}


@dataclass(frozen=True)
class Export:
    """A finished export: `content` is a nameless file at its beginning; whoever streams it closes it."""

    media: str
    name: str
    size: int
    content: IO[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The content piece by piece; the file is gone at the end."""
        with self.content:
            while piece := self.content.read(CHUNK):
                yield piece


def make(context: Context, caller: Caller, patient_key: str, choice: Choice) -> Export:
    """Export a record. Raises Unauthorised, NotFound, Refused for series that are not the patient's or may
    not be seen, Tampered for an object that was altered at rest, OSError when the disk is full.
    """
    detail = f"{choice.format}: {len(choice.parts)} parts, {len(choice.series)} series"
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever streams it
    try:
        # long work stays out of the transaction, which only says that it was done
        with context.reading(caller, Action.EXPORT_RECORD) as session:
            caller.check(Action.READ_PATIENTS)
            view = overview.of_patient(context, session, caller, patient_key)
            _check_series(view, choice)
            # codes of forms follow the language in force; this export's own ends with it
            own = copy_context()
            own.run(set_language, choice.language)
            own.run(_write, context, caller, view, _designs(session, view), choice, file)
        size = file.tell()
        file.seek(0)
        with context.permitted(caller, Action.EXPORT_RECORD, patient_key, detail):
            pass
    except PtcsError as why:
        file.close()
        context.refused(caller.user, Action.EXPORT_RECORD.value, patient_key, why)
        raise
    except BaseException:
        file.close()
        raise
    return Export(MEDIA[choice.format], f"record-{patient_key}.{choice.format}", size, file)


def _check_series(view: PatientView, choice: Choice) -> None:
    known = {line.series.series_uid for line in view.series}
    if not choice.series <= known:
        raise Refused(_("A chosen series is not this patient's, or you may not see images."))


def _designs(session: Session, view: PatientView) -> FormNames:
    used = {(form.kind, form.version) for item in view.courses for form in item.forms}
    return {one: form_designs.design_of(session, *one) for one in used}


def _write(
    context: Context,
    caller: Caller,
    view: PatientView,
    designs: FormNames,
    choice: Choice,
    file: IO[bytes],
) -> None:
    if choice.format == "pdf":
        file.write(paper(context, caller, view, designs, choice.language))
    elif choice.format == "xlsx":
        file.write(workbook.xlsx(_sheets(context, view, designs, choice.language), choice.language))
    else:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
            _fill(context, caller, view, designs, choice, package)


def _sheets(context: Context, view: PatientView, designs: FormNames, language: str) -> list[Sheet]:
    places = context.names.places.known(context.database, context.now())
    terms = {row["en"]: row[language] for row in context.record.settings.toxicities}
    said = tables.Said(
        context.person,
        lambda device: places.get(device, {}).get(language, device),
        lambda term: terms.get(term, term),
    )
    return tables.sheets(view, designs, said, language)


def paper(context: Context, caller: Caller, view: PatientView, designs: FormNames, language: str) -> bytes:
    """The record as PDF."""
    content: dict[str, Any] = {
        "sheets": _sheets(context, view, designs, language),
        "view": view,
        "now": context.now(),
        "by": context.person(caller.user),
    }
    return context.record.printer.pdf("record.html", content, language)


def _fill(
    context: Context,
    caller: Caller,
    view: PatientView,
    designs: FormNames,
    choice: Choice,
    package: zipfile.ZipFile,
) -> None:
    found = _sheets(context, view, designs, choice.language)
    package.writestr(f"record-{choice.language}.pdf", paper(context, caller, view, designs, choice.language))
    package.writestr("record.xlsx", workbook.xlsx(found, choice.language))
    if "forms" in choice.parts:
        _forms(context, caller, view, choice, package)
    if "schedule" in choice.parts:
        wanted = next(sheet for sheet in found if sheet.title == "Appointments")
        package.writestr("schedule.csv", _csv(wanted, choice.language))
    if "reports" in choice.parts:
        for report in view.reports:
            content = reports.pdf(context, caller, report.key, choice.language)
            package.writestr(f"reports/{report.key}.pdf", content)
    if "plans" in choice.parts:
        for item in view.plans:
            _object(context, package, f"plans/{item.plan.sop_uid}.dcm", item.plan.sop_uid)
    if "images" in choice.parts:
        _images(context, view, choice, package)


def _forms(
    context: Context, caller: Caller, view: PatientView, choice: Choice, package: zipfile.ZipFile
) -> None:
    for item in view.courses:
        for form in item.forms:
            said = {
                "kind": form.kind,
                "version": form.version,
                "state": form.state.name,
                "changed": form.changed.isoformat(),
                "changed_by": form.changed_by,
                "content": form.content,
                "signature": form.signature,
            }
            name = f"forms/{form.kind}-{form.key}"
            package.writestr(f"{name}.json", json.dumps(said, ensure_ascii=False, indent=1))
            paper_of = summaries.pdf if form.kind == summaries.KIND else printing.pdf
            package.writestr(f"{name}.pdf", paper_of(context, caller, form.key, choice.language))


def _images(context: Context, view: PatientView, choice: Choice, package: zipfile.ZipFile) -> None:
    chosen = [line.series for line in view.series if line.series.series_uid in choice.series]
    for number, series in enumerate(chosen, 1):
        with context.database.reading() as session:
            rows = archive.matching(session, {"SeriesInstanceUID": [series.series_uid]})
            uids = [row.sop_uid for row in rows]
        for place, uid in enumerate(uids, 1):
            _object(context, package, f"dicom/{number:03}-{series.modality}/{place:05}.dcm", uid)


def _object(context: Context, package: zipfile.ZipFile, name: str, sop_uid: str) -> None:
    with context.database.reading() as session:
        (row,) = archive.matching(session, {"SOPInstanceUID": [sop_uid]})
        package.writestr(name, archive.content_of(context, row))


def _csv(sheet: Sheet, language: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(translate(name, language) for name in sheet.heading)
    writer.writerows([_no_formula(value) for value in row] for row in sheet.rows)
    # the mark lets spreadsheets see that it is UTF-8
    return "\ufeff" + text.getvalue()


def _no_formula(value: Cell) -> Cell:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
