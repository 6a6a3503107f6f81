"""The front desk on a real database: nobody twice, numbers by rule, photos and earlier values kept."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from common import site
from common.errors import BadInput, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain import chinese, id_card, search_parts
from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.domain.registration import CourseEntry, PatientEntry
from ois_bridge.models.clinical import Patient
from ois_bridge.services import intake, labels, patient_changes, photos, registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.known import known
from tests.ois_bridge.ois_case import Case

pytestmark = pytest.mark.requirement("OIS-REGISTER")

DESK = Caller("receptionist", frozenset({"receptionist"}))
CARD = "11010519491231002X"
"""The example of GB 11643-1999: a woman born on 1949-12-31."""


@pytest.fixture
def means(tmp_path: Path, place: Callable[[Path], None]) -> Iterator[Context]:
    place(tmp_path)
    built = process.build(StateDir(tmp_path), site.load())
    yield built
    built.close()


def picture(kind: str = "PNG", side: int = 900) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side // 2), (200, 120, 80)).save(file, kind)
    return file.getvalue()


def files(means: Context, tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "ois/photos").rglob("*") if path.is_file()]


def test_id_card_says_birth_date_and_sex() -> None:
    today = date(2026, 11, 23)
    assert id_card.checked("110105 19491231 002x", today) == id_card.IdCard(CARD, "19491231", "F")
    assert id_card.checked("E12345678", today) == id_card.IdCard("E12345678")
    for wrong, why in (
        ("110105194912310021", "last character"),
        ("11010519491331002X", "no past date"),
        ("11010520991231002X", "no past date"),
        ("1101051949123100", "16 were given"),
    ):
        with pytest.raises(BadInput, match=why):
            id_card.checked(wrong, today)


def test_names_become_dicom_names_and_pieces() -> None:
    assert chinese.person_name("欧阳修文") == "Ouyang^Xiuwen=欧阳^修文"
    assert chinese.person_name("单雄信").startswith("Shan^")
    assert chinese.person_name("Anna Schmidt") == "Schmidt^Anna"
    assert chinese.person_name("Zhang^Wei=张^伟") == "Zhang^Wei=张^伟"
    typed = ("欧阳修文", "单雄信", "Anna Schmidt", "Dr^Anna^^^MD", "Chang^Wei=张^伟")
    assert [chinese.written(chinese.person_name(name)) for name in typed] == list(typed)
    assert {"张伟明", "伟明", "明", "zhangweiming", "weiming", "zwm"} <= search_parts.of_name("张^伟明")


def test_barcodes_follow_the_rule_and_prove_themselves() -> None:
    rule = BarcodeRule(prefix="P", day="day", digits=4, check="mod10")
    code = rule.make(date(2026, 11, 23), 7)
    assert code.startswith("P2611230007")
    assert rule.verify(code.lower()) == code
    for place in range(1, len(code)):
        other = str((int(code[place]) + 1) % 10)
        with pytest.raises(BadInput):
            rule.verify(code[:place] + other + code[place + 1 :])


def test_first_visit_is_one_transaction(means: Context, tmp_path: Path) -> None:
    entry = PatientEntry(name="张伟明", id_card=CARD, hospital_number="H-1", phone="13800000000")
    course = CourseEntry(diagnosis="鼻咽癌", source="inpatient", ward="7A", bed="12", physician="physician")
    patient = registration.register(means, DESK, entry, course, picture())
    with means.database.reading() as session:
        kept = session.get_one(Patient, patient.key)
        assert (kept.birth_date, kept.sex, kept.name) == ("19491231", "F", "Zhang^Weiming=张^伟明")
        assert (kept.pinyin, kept.initials) == ("zhangweiming", "zwm")
        assert kept.patient_id.startswith("RT")
        assert means.desk.barcodes.verify(kept.barcode) == kept.barcode
        (first,) = kept.courses
        assert (first.diagnosis_code, first.icd11, first.ward) == ("NPC", "2B6B", "7A")
    shown = Image.open(io.BytesIO(photos.of_patient(means, DESK, patient.key)))
    assert (shown.format, max(shown.size)) == ("JPEG", photos.SIDE)
    with pytest.raises(Refused, match="choose one of the list"):
        registration.register(means, DESK, PatientEntry("李娜", "X1", "1980-01-01", "F"),
                              replace(course, physician="nobody"), picture())  # fmt: skip
    with means.database.reading() as session:
        assert session.query(Patient).count() == 1, "a course that is refused leaves no patient"
    assert len(files(means, tmp_path)) == 1, "nor a photo"


def test_nobody_is_registered_twice(means: Context) -> None:
    first = registration.register(means, DESK, PatientEntry("张伟", id_card=CARD, hospital_number="H-1"))
    for again, why in (
        (PatientEntry("张伟二", id_card=CARD), "same id card"),
        (PatientEntry("李四", "P9", "1980-01-01", "M", hospital_number="H-1"), "same hospital number"),
        (PatientEntry("李四", first.patient_id, "1980-01-01", "M"), "same patient ID"),
        (PatientEntry("李四", "P9", "1980-01-01", "M", barcode=first.barcode), "same barcode"),
    ):
        with pytest.raises(Refused, match=why):
            registration.register(means, DESK, again)
    same_person = PatientEntry("张伟", "P8", "1949-12-31", "F")
    with means.database.reading() as session:
        assert [row.patient.key for row in known(session, same_person)] == [first.key]
    with pytest.raises(Refused, match="another person"):
        registration.register(means, DESK, same_person, other_person=False)
    assert registration.register(means, DESK, same_person, other_person=True).key != first.key
    visited = registration.return_visit(means, DESK, first.key, CourseEntry(), "form-1")
    registration.return_visit(means, DESK, first.key, CourseEntry(), "form-1")
    with means.database.reading() as session:
        assert len(session.get_one(Patient, visited.key).courses) == 1, "the form was sent twice"


def test_double_click_makes_one_patient(means: Context) -> None:
    entry = PatientEntry("王芳", "", "1970-05-06", "F")
    keys = {registration.register(means, DESK, entry, submission="abc").key for _ in range(2)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (PatientEntry("  ", "P1", "1980-01-01", "M"), "name"),
        (PatientEntry("^", "P1", "1980-01-01", "M"), "name"),
        (PatientEntry("张伟", "P1", "2999-01-01", "M"), "past date"),
        (PatientEntry("张伟", "P1", "", "M"), "Birth date"),
        (PatientEntry("张伟", "P1", "1980-01-01", ""), "Sex"),
        (PatientEntry("张伟", "P1", "1980-01-01", "F", id_card=CARD), "says another"),
        (PatientEntry("张伟", "P 1", "1980-01-01", "M"), "Patient ID"),
        (PatientEntry("张伟", "P1", "1980-01-01", "M", phone="<script>"), "Phone"),
        (PatientEntry("张伟", "P1", "1980-01-01", "M", address="x" * 201), "Address"),
        (PatientEntry("张\x00伟", "P1", "1980-01-01", "M"), "cannot be shown"),
        (PatientEntry("张伟", "P1", "1980-01-01", "M", address="\ud800"), "cannot be shown"),
    ],
)
def test_bad_input_names_the_field(means: Context, entry: PatientEntry, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        registration.register(means, DESK, entry)


def test_what_is_no_photo_is_refused(means: Context, tmp_path: Path) -> None:
    entry = PatientEntry("张伟", "P1", "1980-01-01", "M")
    for content in (
        b"GIF89a" + bytes(50),
        b"<svg/>",
        picture()[:-40],
        picture("JPEG")[:-40],
        bytes(photos.MOST_BYTES + 1),
    ):
        with pytest.raises(BadInput, match="Photo"):
            registration.register(means, DESK, entry, photo=content)
    assert files(means, tmp_path) == []


def test_changes_keep_old_values_and_images_their_patient(means: Context, tmp_path: Path) -> None:
    case = Case("edit")
    who = case.patient
    patient = registration.register(
        means, DESK, PatientEntry(who.name, who.patient_id, who.birth_date, who.sex), photo=picture()
    )
    entry = patient_changes.entry_of(patient)
    seen = patient_changes.stamp(patient)
    more = replace(entry, phone="123", name="张卫")
    assert patient_changes.change(means, DESK, patient.key, more, seen, picture("JPEG", 40)) == [
        "name", "phone", "photo",
    ]  # fmt: skip
    with pytest.raises(Refused, match="Someone else"):
        patient_changes.change(means, DESK, patient.key, entry, seen)
    with means.database.reading() as session:
        row = session.get_one(Patient, patient.key)
        rows = {change.field: change for change in patient_changes.history(session, patient.key)}
        assert rows["name"].old == who.name
        assert row.pinyin == "zhangwei"
        back, seen = patient_changes.entry_of(row), patient_changes.stamp(row)
    assert photos.sweep(means) == 0
    assert len(files(means, tmp_path)) == 2, "the earlier photo stays"
    patient_changes.change(means, DESK, patient.key, replace(back, name=who.name), seen)
    for ds in case.ct():
        intake.store(means, ds, "PTCS_CT")
    with means.database.reading() as session:
        seen = patient_changes.stamp(session.get_one(Patient, patient.key))
    with pytest.raises(Refused, match="Images or plans"):
        patient_changes.change(means, DESK, patient.key, replace(back, name="王五"), seen)
    therapist = Caller("therapist", frozenset({"therapist"}))
    with pytest.raises(Unauthorised):
        patient_changes.change(means, therapist, patient.key, back, seen)


def test_label_reads_back(means: Context, tmp_path: Path) -> None:
    """Both codes of the printed label, read by an independent reader, are the patient's barcode."""
    import subprocess

    import zxingcpp

    patient = registration.register(means, DESK, PatientEntry("欧阳明华", id_card=CARD))
    for masked in (False, True):
        path = tmp_path / "label.pdf"
        path.write_bytes(labels.pdf(means, DESK, patient.key, masked, "zh"))
        text = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True, text=True).stdout
        assert ("欧阳明华" in text) is not masked
        assert ("Minghua Ouyang" in text) is not masked, "whole in both letters"
        assert patient.barcode in text
        subprocess.run(["pdftoppm", "-r", "300", "-png", path, tmp_path / "label"], check=True)
        codes = zxingcpp.read_barcodes(Image.open(tmp_path / "label-1.png"))
        assert {(code.format.name, code.text) for code in codes} == {
            ("Code128", patient.barcode), ("QRCode", patient.barcode),
        }  # fmt: skip
