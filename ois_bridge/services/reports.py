"""Irradiation reports: what was prescribed, approved, delivered and verified, frozen when written."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from common.errors import BadInput, Tampered
from common.text import LANGUAGES, _
from ois_bridge.domain import report_summary
from ois_bridge.domain.permissions import Action
from ois_bridge.models.treatment import Fraction, Report, ReportFile
from ois_bridge.services import access, patients, report_facts
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound

MAX_PICTURES = 12
MAX_PICTURE_BYTES = 10_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}\.png")


def write(
    context: Context,
    caller: Caller,
    plan_uid: str,
    number: int,
    summary_text: str,
    pictures: Mapping[str, bytes],
    language: str,
) -> str:
    """Compose and keep the report of a fraction; returns its key. All of it is kept, or nothing.

    Raises BadInput for a summary or picture that cannot be used, NotFound, OSError when the disk is full.
    """
    with context.permitted(caller, Action.WRITE_REPORT, plan_uid, f"fraction {number}") as session:
        summary = report_summary.parse(summary_text)
        _check_pictures(pictures)
        fraction = patients.must(
            session.scalar(select(Fraction).where(Fraction.plan_uid == plan_uid, Fraction.number == number))
        )
        facts = report_facts.gather(session, fraction, caller.user, context.now())
        facts["summary"] = asdict(summary)
    report = Report(
        key=facts["report"]["id"],
        fraction_key=fraction.key,
        author=caller.user,
        created=context.now(),
        passed=summary.passed,
        facts=json.dumps(facts, ensure_ascii=False, sort_keys=True),
    )
    contents = dict(pictures)
    contents[pdf_name(language)] = context.composer.compose(facts, pictures, language)
    _keep(context, caller, report, contents)
    return report.key


def pdf(context: Context, caller: Caller, key: str, language: str) -> bytes:
    """The report as PDF; a language is composed at its first reading, from the frozen facts.

    Raises NotFound, and Tampered when a kept file was altered.
    """
    with context.reading(caller, Action.READ_REPORT) as session:
        report = patients.must(session.get(Report, key))
        access.check(session, caller, report.fraction.plan.patient_key, context)
        kept = {file.name: file.sha256 for file in report.files}
    name = pdf_name(language)
    if name in kept:
        return _read(context, key, name, kept[name])
    pictures = {file: _read(context, key, file, kept[file]) for file in kept if file.endswith(".png")}
    content = context.composer.compose(json.loads(report.facts), pictures, language)
    with context.deed(caller.user, "compose report", key, language) as session:
        if session.get(ReportFile, (key, name)) is None:
            staged = context.reports.stage(content)
            session.add(ReportFile(report_key=key, name=name, sha256=_digest(content)))
            session.flush()
            context.reports.publish(staged, f"{key}/{name}")
    return content


def sweep(context: Context) -> int:
    """Remove report files that no row knows; returns how many."""
    with context.database.reading() as session:
        rows = session.execute(select(ReportFile.report_key, ReportFile.name))
        known = {f"{key}/{name}" for key, name in rows}
    return context.reports.sweep(known)


def pdf_name(language: str) -> str:
    """File name of a language's PDF. Raises BadInput for one that PTCS does not speak."""
    if language not in LANGUAGES:
        raise BadInput(_("Language: allowed are {names}.").format(names=", ".join(LANGUAGES)))
    return f"report-{language}.pdf"


def _check_pictures(pictures: Mapping[str, bytes]) -> None:
    if len(pictures) > MAX_PICTURES:
        raise BadInput(_("At most {n} pictures are allowed.").format(n=MAX_PICTURES))
    for name, content in pictures.items():
        if not _NAME.fullmatch(name) or not content.startswith(_PNG) or len(content) > MAX_PICTURE_BYTES:
            raise BadInput(
                _("Pictures: PNG files of at most 10 MB with plain names ending in .png are allowed.")
            )


def _keep(context: Context, caller: Caller, report: Report, contents: Mapping[str, bytes]) -> None:
    published: list[str] = []
    staged = {name: context.reports.stage(content) for name, content in contents.items()}
    try:
        with context.deed(caller.user, "keep report", report.key) as session:
            session.add(report)
            report.files = [ReportFile(name=name, sha256=_digest(data)) for name, data in contents.items()]
            session.flush()
            for name, path in staged.items():
                context.reports.publish(path, f"{report.key}/{name}")
                published.append(f"{report.key}/{name}")
    except BaseException:
        for path_name in published:
            context.reports.remove(path_name)
        raise
    finally:
        for path in staged.values():
            context.reports.discard(path)


def _read(context: Context, key: str, name: str, sha256: str) -> bytes:
    try:
        content = context.reports.read(f"{key}/{name}")
    except OSError as why:
        raise NotFound(_("A file of this report is gone; restore it from the backup.")) from why
    if _digest(content) != sha256:
        raise Tampered(_("A file of this report was altered at rest; restore it from the backup."))
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def facts_of(report: Report) -> dict[str, Any]:
    """What a report says."""
    return dict(json.loads(report.facts))
