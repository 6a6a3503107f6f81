"""Simulated ARIA and MOSAIQ: SQLite files with the small part of such a database that a time line needs.

Names of tables and columns are of the kind that these systems use; the content is synthetic.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

ARIA_TABLES = """
CREATE TABLE Patient (PatientSer INTEGER PRIMARY KEY, PatientId TEXT UNIQUE);
CREATE TABLE Course (CourseSer INTEGER PRIMARY KEY, PatientSer INTEGER, CourseId TEXT);
CREATE TABLE PlanSetup (PlanSetupSer INTEGER PRIMARY KEY, CourseSer INTEGER, PlanSetupId TEXT,
    PrescribedDosePerFraction REAL, NoFractions INTEGER);
CREATE TABLE ScheduledActivity (PlanSetupSer INTEGER, FractionNumber INTEGER, ScheduledStartTime TEXT,
    MachineId TEXT);
CREATE TABLE TreatmentHistory (PlanSetupSer INTEGER, FractionNumber INTEGER, FieldId TEXT,
    TreatmentStartTime TEXT, TreatmentEndTime TEXT, PlannedMU REAL, DeliveredMU REAL, MachineId TEXT,
    TreatedBy TEXT, Comment TEXT);
"""

MOSAIQ_TABLES = """
CREATE TABLE Ident (Pat_ID1 INTEGER PRIMARY KEY, IDA TEXT UNIQUE);
CREATE TABLE Site (SIT_ID INTEGER PRIMARY KEY, Pat_ID1 INTEGER, Site_Name TEXT, Dose_Tx REAL,
    Fractions INTEGER);
CREATE TABLE Schedule (SIT_ID INTEGER, Fx INTEGER, App_DtTm TEXT, Location TEXT);
CREATE TABLE Dose_Hst (SIT_ID INTEGER, Fx INTEGER, Field TEXT, Tx_DtTm TEXT, End_DtTm TEXT, Planned_MU REAL,
    Actual_MU REAL, Machine TEXT, Staff TEXT, Notes TEXT);
"""

FIELDS = 2
FIELD_MU = 95.0


def write_aria(path: Path, patient_ids: Sequence[str], start: datetime, fractions: int = 25) -> None:
    """A new file with one treated plan for each patient, photons of 2 Gy; `start`: local, of fraction 1."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(ARIA_TABLES)
        for serial, patient_id in enumerate(patient_ids, 1):
            database.execute("INSERT INTO Patient VALUES (?, ?)", (serial, patient_id))
            database.execute("INSERT INTO Course VALUES (?, ?, 'C1')", (serial, serial))
            row = (serial, serial, "PhotonPelvis", 2.0, fractions)
            database.execute("INSERT INTO PlanSetup VALUES (?, ?, ?, ?, ?)", row)
            for number, time in enumerate(_workdays(start, fractions), 1):
                visit = (serial, number, time.isoformat(sep=" "), "TrueBeam1")
                database.execute("INSERT INTO ScheduledActivity VALUES (?, ?, ?, ?)", visit)
                database.executemany(
                    "INSERT INTO TreatmentHistory VALUES (?, ?, ?, ?, ?, ?, ?, 'TrueBeam1', ?, '')",
                    [
                        (serial, number, f"F{field}", *_beam(time, field), FIELD_MU, FIELD_MU, "rtt1")
                        for field in range(FIELDS)
                    ],
                )


def write_mosaiq(path: Path, patient_ids: Sequence[str], start: datetime, fractions: int = 10) -> None:
    """A new file with one site for each patient, half of it treated, 300 cGy; `start`: of fraction 1."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(MOSAIQ_TABLES)
        for serial, patient_id in enumerate(patient_ids, 1):
            database.execute("INSERT INTO Ident VALUES (?, ?)", (serial, patient_id))
            row = (serial, serial, "Bone", 300.0, fractions)
            database.execute("INSERT INTO Site VALUES (?, ?, ?, ?, ?)", row)
            for number, time in enumerate(_workdays(start, fractions), 1):
                visit = (serial, number, time.isoformat(sep=" "), "Versa2")
                database.execute("INSERT INTO Schedule VALUES (?, ?, ?, ?)", visit)
                if number <= fractions // 2:
                    done = (serial, number, "AP", *_beam(time, 0), FIELD_MU, FIELD_MU, "Versa2", "rtt2", "")
                    database.execute("INSERT INTO Dose_Hst VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", done)


def _beam(time: datetime, field: int) -> tuple[str, str]:
    begun = time + timedelta(minutes=5 + 2 * field)
    return begun.isoformat(sep=" "), (begun + timedelta(seconds=40)).isoformat(sep=" ")


def _workdays(start: datetime, count: int) -> list[datetime]:
    days: list[datetime] = []
    time = start
    while len(days) < count:
        if time.weekday() < 5:
            days.append(time)
        time += timedelta(days=1)
    return days
