"""Configuration of the sheet, and the seeding of a new OIS with the department's devices and holidays."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import BadConfig
from common.yaml_file import CONFIG, load_checked
from ois_bridge.domain.scheduling import calendar
from ois_bridge.domain.scheduling.plan import WEEKDAYS, Beam, Rules
from ois_bridge.models.scheduling import CalendarDay, DepartmentDevice, DevicePeriod, ScheduleProposal
from ois_bridge.services.context import Context

DEVICES = CONFIG / "department/devices.yaml"
HOLIDAYS = CONFIG / "department/holidays.yaml"
LOCAL_TIME = Path("/etc/localtime")


@cache
def rules() -> Rules:
    """The rules of the sheet. Raises BadConfig."""
    content = _content()
    spacing = content["spacing"]
    return Rules(
        zone=zone_of(content["zone"]),
        slot=content["slot_min"],
        once_daily=timedelta(hours=spacing["once_daily_h"]),
        twice_daily=timedelta(hours=spacing["twice_daily_h"]),
        beams={name: Beam(row["switch_min"], row["change_min"]) for name, row in content["beams"].items()},
    )


def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name; `local`: that of this computer. Raises BadConfig."""
    if name == "local":
        name = os.environ.get("TZ", "").lstrip(":") or _link()
        if not name:
            return timezone(datetime.now().astimezone().utcoffset() or timedelta())
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as why:
        raise BadConfig(
            f"{DEVICES.name}: {name!r} is no time zone; allowed are IANA names like Asia/Shanghai, and local"
        ) from why


def _link() -> str:
    _folder, found, name = str(LOCAL_TIME.resolve()).partition("zoneinfo/")
    return name if found else ""


@cache
def _content() -> Mapping[str, Any]:
    content = load_checked(DEVICES, "department_devices")
    names = [row["name"] for row in content["devices"]]
    beams = {row.get("beam", "") for row in content["devices"]} - {"", *content["beams"]}
    strange = {row["device"] for row in content["periods"]} - set(names)
    if beams or strange or len(set(names)) != len(names):
        what = ", ".join(sorted(beams | strange)) or "a name that is given twice"
        raise BadConfig(
            f"{DEVICES.name}: devices and periods name what the file defines once; not so: {what}"
        )
    return content


def make_ready(context: Context) -> None:
    """Seed an OIS that has no devices or no calendar; proposals that a stop cut off are failed."""
    with context.database.writing() as session:
        for row in session.scalars(select(ScheduleProposal).where(ScheduleProposal.state == "RUNNING")):
            row.state, row.error = "FAILED", "the OIS was stopped while it computed; start it again"
        now = context.now()
        if session.scalar(select(DepartmentDevice.name).limit(1)) is None:
            _seed_devices(session, now)
        if session.scalar(select(CalendarDay.day).limit(1)) is None:
            for row in load_checked(HOLIDAYS, "department_holidays")["days"]:
                session.add(calendar_day(row["day"], row["kind"], row["name"], now, "start"))


def calendar_day(day: date, kind: str, name: Mapping[str, str], now: datetime, user: str) -> CalendarDay:
    """A row of the table of holidays and make-up working days."""
    return CalendarDay(
        day=day.isoformat(),
        kind=kind,
        name_en=name["en"],
        name_zh=name["zh"],
        created=now,
        created_by=user,
    )


def _seed_devices(session: Session, now: datetime) -> None:
    for position, row in enumerate(_content()["devices"]):
        hours = {WEEKDAYS.index(day) + 1: text for day, text in row["hours"].items()}
        for text in hours.values():
            calendar.spans_of(text)
        session.add(
            DepartmentDevice(
                name=row["name"],
                title_en=row["title"]["en"],
                title_zh=row["title"]["zh"],
                kinds=" ".join(row["kinds"]),
                particles=" ".join(row.get("particles", [])),
                beam=row.get("beam", ""),
                setup_min=row.get("setup_min", 0),
                leave_min=row.get("leave_min", 0),
                usual_min=row["usual_min"],
                capacity=row["capacity"],
                hours=json.dumps(hours),
                position=position,
                active=True,
            )
        )
    for row in _content()["periods"]:
        (start, end) = calendar.spans_of(row["time"])[0]
        session.add(
            DevicePeriod(
                device=row["device"],
                effect=row["effect"],
                purpose=row["purpose"],
                kind=row.get("kind", ""),
                particle=row.get("particle", ""),
                weekdays="".join(str(day) for day in row["weekdays"]),
                from_min=start,
                to_min=end,
                created=now,
                created_by="start",
            )
        )


def today(now: datetime) -> date:
    """The day of the sheet at an instant."""
    return now.astimezone(rules().zone).date()


def midnight(day: date) -> datetime:
    """The beginning of a day of the sheet, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=rules().zone).astimezone(UTC)
