"""Saved lists, columns and sheets: everybody's own, shared on purpose, and no more than one may see."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest

from common import site
from common.errors import BadInput, Refused, Unauthorised
from common.hashchain import entries
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.list_columns import DEFAULTS
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.services import registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.search import export, find, saved

pytestmark = pytest.mark.requirement("OIS-SEARCH", "OIS-EXPORT")

DESK = Caller("receptionist", frozenset({"receptionist"}))
DOCTOR = Caller("physician", frozenset({"physician"}))
THERAPIST = Caller("therapist", frozenset({"therapist"}))
OPERATOR = Caller("operator", frozenset({"operator"}))


@pytest.fixture
def means(tmp_path: Path, place: Callable[[Path], None]) -> Iterator[Context]:
    place(tmp_path)
    built = process.build(StateDir(tmp_path), site.load())
    yield built
    built.close()


def test_lists_are_ones_own_until_shared(means: Context) -> None:
    rule = {"match": "all", "rules": [{"field": "technique", "op": "is", "value": "IMPT"}]}
    search = saved.read("张", "patients", {"sex": "M", "since": "2026-01-01", "unknown": "x"}, rule)
    key = saved.keep(means, DOCTOR, "  My   men ", False, search)
    with means.database.reading() as session:
        loaded = saved.load(session, DOCTOR, key)
        assert loaded is not None
        assert (loaded[0], loaded[1].name) == (search, "My men")
        assert saved.load(session, DESK, key) is None
        assert list(saved.lists(session, DESK)) == []
    with pytest.raises(Refused):
        saved.forget(means, DESK, key)
    assert saved.keep(means, DOCTOR, "My men", True, search) == key, "the same name is the same list"
    with means.database.reading() as session:
        assert saved.load(session, DESK, key) is not None
        assert [row.name for row in saved.lists(session, DESK)] == ["My men"]
    with pytest.raises(Refused):
        saved.forget(means, DESK, key)
    saved.forget(means, DOCTOR, key)
    with means.database.reading() as session:
        assert saved.load(session, DOCTOR, key) is None
    with pytest.raises(BadInput, match="name"):
        saved.keep(means, DOCTOR, " ", False, search)


def test_the_last_searches_are_kept_and_no_more(means: Context) -> None:
    keys = [saved.remember(means, DESK, saved.read(f"n{n}", "", {}, None)) for n in range(saved.LAST + 3)]
    with means.database.reading() as session:
        assert [saved.load(session, DESK, key) is not None for key in keys] == [False] * 3 + [
            True
        ] * saved.LAST
    with pytest.raises(Unauthorised):
        saved.remember(means, OPERATOR, saved.read("x", "", {}, None))


def test_columns_follow_workplace_choice_and_right(means: Context) -> None:
    with means.database.reading() as session:
        assert saved.columns(session, DESK) == DEFAULTS["receptionist"]
        assert saved.columns(session, DOCTOR) == DEFAULTS["physician"]
    saved.choose_columns(means, THERAPIST, ["phone", "state", "patient_id", "id_card"])
    with means.database.reading() as session:
        assert saved.columns(session, THERAPIST) == ("patient_id", "state"), "contacts are not for all"
        assert "phone" not in saved.visible(THERAPIST)
    saved.choose_columns(means, THERAPIST, [])
    with means.database.reading() as session:
        assert saved.columns(session, THERAPIST) == DEFAULTS["therapist"]
    for wrong in (["password"], list(export.COLUMNS)):
        with pytest.raises(BadInput, match="Columns"):
            saved.choose_columns(means, THERAPIST, wrong)


def test_sheets_hold_what_one_may_see(means: Context, tmp_path: Path) -> None:
    for number in range(3):
        entry = PatientEntry(f"=cmd{number}", f"E{number}", "1980-01-01", "F", phone=f"+8613800{number}")
        registration.register(means, DESK, entry, CourseEntry(diagnosis="@SUM(A1)"))
    lines = export.table(means, DESK, saved.read("e", "patients", {}, None))
    rows = list(csv.reader(io.StringIO(export.as_csv(lines).decode("utf-8-sig"))))
    assert len(rows) == 4
    assert {row[1] for row in rows[1:]} == {"E0", "E1", "E2"}
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
    sheet = openpyxl.load_workbook(io.BytesIO(export.as_excel(lines))).active
    assert sheet is not None
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}
    assert sheet.max_row == 4
    phone = DEFAULTS["receptionist"].index("phone") + 1
    assert lines[1][phone].startswith("+86")
    theirs = export.table(means, THERAPIST, saved.read("", "", {}, None))
    assert not any("+86" in cell for line in theirs for cell in line)
    with pytest.raises(Unauthorised):
        export.table(means, OPERATOR, saved.read("", "", {}, None))
    noted = [entry for entry in entries(tmp_path / "ois/audit.log") if "export" in entry["action"]]
    assert [entry["outcome"] for entry in noted] == ["done"] * 4 + ["refused"]
    assert "3 patients" in noted[1]["detail"]


def test_an_export_walks_all_pages(means: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        registration.register(means, DESK, PatientEntry(f"Nr{number}", f"E{number}", "1980-01-01", "F"))
    monkeypatch.setattr(export, "BATCH", 2)
    lines = export.table(means, DESK, saved.read("", "", {}, None))
    assert sorted(line[1] for line in lines[1:]) == [f"E{number}" for number in range(5)]
    with means.database.reading() as session:
        assert len(find.page(session, find.Query("nr"), limit=2).patients) == 2
