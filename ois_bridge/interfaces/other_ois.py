"""Reading ARIA and MOSAIQ as a hospital allows it: a read-only database account, and never a write.

The schemas are the small part of such databases that a time line needs, as site documents describe them; a
site with another version changes the two queries. Any DB-API 2 connection with `?` parameters will do.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import BadInput, LinkLost
from ois_bridge.domain.foreign import ForeignFraction, ForeignPlan

Connect = Callable[[], sqlite3.Connection]
TIMEOUT_S = 2.0

ARIA = """
SELECT c.CourseId, p.PlanSetupId, p.PrescribedDosePerFraction, p.NoFractions, f.FractionNumber,
       s.ScheduledStartTime, f.TreatmentStartTime, f.TreatmentEndTime, f.PlannedMU, f.DeliveredMU,
       COALESCE(f.MachineId, s.MachineId), f.TreatedBy, f.Comment
FROM Patient x
JOIN Course c ON c.PatientSer = x.PatientSer
JOIN PlanSetup p ON p.CourseSer = c.CourseSer
LEFT JOIN (
    SELECT PlanSetupSer, FractionNumber FROM TreatmentHistory
    UNION SELECT PlanSetupSer, FractionNumber FROM ScheduledActivity
) n ON n.PlanSetupSer = p.PlanSetupSer
LEFT JOIN ScheduledActivity s ON s.PlanSetupSer = p.PlanSetupSer AND s.FractionNumber = n.FractionNumber
LEFT JOIN (
    SELECT PlanSetupSer, FractionNumber, MIN(TreatmentStartTime) AS TreatmentStartTime,
           MAX(TreatmentEndTime) AS TreatmentEndTime, SUM(PlannedMU) AS PlannedMU,
           SUM(DeliveredMU) AS DeliveredMU, MAX(MachineId) AS MachineId, MAX(TreatedBy) AS TreatedBy,
           MAX(Comment) AS Comment
    FROM TreatmentHistory GROUP BY PlanSetupSer, FractionNumber
) f ON f.PlanSetupSer = p.PlanSetupSer AND f.FractionNumber = n.FractionNumber
WHERE x.PatientId = ?
ORDER BY c.CourseSer, p.PlanSetupSer, n.FractionNumber
"""
"""One row a fraction; a plan's fields of one fraction are summed up. Times are local without a zone."""

MOSAIQ = """
SELECT '' AS Course, t.Site_Name, t.Dose_Tx, t.Fractions, n.Fx, s.App_DtTm, d.Tx_DtTm, d.End_DtTm,
       d.Planned_MU, d.Actual_MU, COALESCE(d.Machine, s.Location), d.Staff, d.Notes
FROM Ident i
JOIN Site t ON t.Pat_ID1 = i.Pat_ID1
LEFT JOIN (
    SELECT SIT_ID, Fx FROM Dose_Hst UNION SELECT SIT_ID, Fx FROM Schedule
) n ON n.SIT_ID = t.SIT_ID
LEFT JOIN Schedule s ON s.SIT_ID = t.SIT_ID AND s.Fx = n.Fx
LEFT JOIN (
    SELECT SIT_ID, Fx, MIN(Tx_DtTm) AS Tx_DtTm, MAX(End_DtTm) AS End_DtTm, SUM(Planned_MU) AS Planned_MU,
           SUM(Actual_MU) AS Actual_MU, MAX(Machine) AS Machine, MAX(Staff) AS Staff, MAX(Notes) AS Notes
    FROM Dose_Hst GROUP BY SIT_ID, Fx
) d ON d.SIT_ID = t.SIT_ID AND d.Fx = n.Fx
WHERE i.IDA = ?
ORDER BY t.SIT_ID, n.Fx
"""

QUERIES: Mapping[str, str] = {"aria": ARIA, "mosaiq": MOSAIQ}
"""Kind of system -> its query. Both give the same columns; MOSAIQ's dose is in cGy."""
GY: Mapping[str, float] = {"aria": 1.0, "mosaiq": 0.01}


class OtherDatabase:
    """One such system."""

    def __init__(self, name: str, kind: str, connect: Connect) -> None:
        """`kind`: aria or mosaiq; `connect` opens a read-only connection."""
        self._name, self._kind, self._connect = name, kind, connect

    @property
    def name(self) -> str:
        """How people call it."""
        return self._name

    def plans(self, patient_id: str) -> Sequence[ForeignPlan]:
        """What it holds of a patient. Raises LinkLost when it does not answer, BadInput for odd data."""
        try:
            with closing(self._connect()) as connection:
                rows = connection.execute(QUERIES[self._kind], (patient_id,)).fetchall()
        except (sqlite3.Error, OSError) as why:
            raise LinkLost(f"{self._name} cannot be read: {type(why).__name__}") from why
        try:
            return self._plans(rows)
        except (TypeError, ValueError) as why:
            raise BadInput(f"{self._name} answers something that cannot be understood") from why

    def _plans(self, rows: Iterable[Sequence[Any]]) -> list[ForeignPlan]:
        found: dict[tuple[str, str], list[Sequence[Any]]] = {}
        for row in rows:
            found.setdefault((str(row[0] or ""), str(row[1] or "")), []).append(row)
        return [
            ForeignPlan(
                self._name,
                course,
                label,
                float(group[0][2]) * GY[self._kind] if group[0][2] is not None else None,
                int(group[0][3] or 0),
                tuple(_fraction(row) for row in group if row[4] is not None),
            )
            for (course, label), group in found.items()
        ]


def _fraction(row: Sequence[Any]) -> ForeignFraction:
    number, planned, started, ended, planned_mu, delivered_mu, machine, by, note = row[4:13]
    return ForeignFraction(
        int(number),
        _moment(planned),
        _moment(started),
        _moment(ended),
        float(planned_mu) if planned_mu is not None else None,
        float(delivered_mu) if delivered_mu is not None else None,
        str(machine or ""),
        str(by or ""),
        str(note or ""),
    )


def _moment(value: Any) -> datetime | None:
    """Local time of the hospital, as such databases keep it. Raises ValueError."""
    return datetime.fromisoformat(str(value)).astimezone(UTC) if value else None


def sqlite_file(path: Path) -> Connect:
    """Connections to a file, opened so that nothing can be written (the simulated peers)."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT_S)
        connection.execute("PRAGMA query_only = ON")
        return connection

    return connect
