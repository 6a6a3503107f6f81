"""Faces and fingerprints are enrolled with consent and removed everywhere; pictures of the hall."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from common import site
from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import process
from ois_bridge.domain.queue.told import SignInRefused
from ois_bridge.domain.registration import PatientEntry
from ois_bridge.models.queue import BiometricTemplate
from ois_bridge.services import registration
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.queue import features, pictures, screens, sign_in
from simulation.messages.reader import FakeReader
from tests.ois_bridge.workflow_steps import ADMIN, DESK, PHYSICIAN, THERAPIST

pytestmark = pytest.mark.requirement("OIS-QUEUE")
SCREEN = Caller("screen hall", frozenset({"screen"}))


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Context]:
    context = process.build(StateDir(tmp_path), site.load())
    yield context
    context.close()


@pytest.fixture
def reader(tmp_path: Path, means: Context) -> Iterator[FakeReader]:
    device = FakeReader()
    device.start()
    text = yaml.safe_dump({"format": 1, "readers": {"any": device.url}})
    (tmp_path / "ois/readers.yaml").write_text(text)
    yield device
    device.stop()


def person(means: Context, number: int) -> str:
    entry = PatientEntry(f"王芳{number}", f"F-{number}", "1960-01-01", "F")
    return registration.register(means, DESK, entry).key


def test_enrolled_with_consent_and_forgotten(means: Context, reader: FakeReader) -> None:
    one, two = person(means, 1), person(means, 2)
    with pytest.raises(Refused, match="sees nobody"):
        features.enrol(means, DESK, one, "any", "face", "the patient, on paper")
    reader.template = "T-17"
    with pytest.raises(BadInput, match="consent"):
        features.enrol(means, DESK, one, "any", "face", " ")
    with pytest.raises(Unauthorised):
        features.enrol(means, PHYSICIAN, one, "any", "face", "the patient, on paper")
    features.enrol(means, DESK, one, "any", "face", "the patient, on paper")
    with pytest.raises(Refused, match="another patient"):
        features.enrol(means, DESK, two, "any", "face", "the patient, on paper")
    with means.database.reading() as session:
        row = session.get_one(BiometricTemplate, "T-17")
        assert (row.patient_key, row.consent, row.enrolled_by) == (
            one,
            "the patient, on paper",
            "receptionist",
        )
    with pytest.raises(SignInRefused) as said:
        sign_in.by_feature(means, THERAPIST, "T-17")
    assert "no appointment" in str(said.value), "the patient is known"
    assert features.remove(means, DESK, one, features.handle("T-17"))
    assert reader.forgotten == ["T-17"]
    with means.database.reading() as session:
        assert features.of_patient(session, one) == []


def test_a_reader_that_is_away_is_told(means: Context, tmp_path: Path) -> None:
    key = person(means, 3)
    with means.database.writing() as session:
        session.add(
            BiometricTemplate(
                template="T-1", patient_key=key, enrolled=means.now(), enrolled_by="receptionist"
            )
        )
    (tmp_path / "ois/readers.yaml").write_text("format: 1\nreaders: {any: 'http://127.0.0.1:9/'}\n")
    with pytest.raises(LinkLost):
        features.enrol(means, DESK, key, "any", "face", "the patient")
    assert not features.remove(means, DESK, key, features.handle("T-1"))
    with means.database.reading() as session:
        assert session.get(BiometricTemplate, "T-1") is None


def picture(kind: str, frames: int = 1, size: tuple[int, int] = (300, 200)) -> bytes:
    made = [Image.new("RGB", size, (10 * number, 90, 120)) for number in range(frames)]
    kept = io.BytesIO()
    more = {"save_all": True, "append_images": made[1:], "duration": 80} if frames > 1 else {}
    made[0].save(kept, kind, **more)
    return kept.getvalue()


def test_pictures_are_checked_and_encoded_anew(means: Context) -> None:
    for kind, frames in (("PNG", 1), ("JPEG", 1), ("GIF", 4)):
        row = pictures.add(means, ADMIN, kind, 8, picture(kind, frames))
        content = pictures.content_of(means, SCREEN, row.key)
        with Image.open(io.BytesIO(content)) as kept:
            assert (kept.format, getattr(kept, "n_frames", 1)) == ("WEBP", frames)
        assert row.animated == (frames > 1)
    big = pictures.add(means, ADMIN, "big", 8, picture("PNG", size=(3000, 2000)))
    with Image.open(io.BytesIO(pictures.content_of(means, ADMIN, big.key))) as kept:
        assert kept.size == (1620, 1080)
    for bad in (b"<svg onload='x'/>", b"", picture("PNG")[:100], b"GIF89a" + bytes(50)):
        with pytest.raises(BadInput, match="Picture"):
            pictures.add(means, ADMIN, "bad", 8, bad)
    with pytest.raises(BadInput, match="seconds"):
        pictures.add(means, ADMIN, "fast", 1, picture("PNG"))
    with pytest.raises(Unauthorised):
        pictures.add(means, DESK, "mine", 8, picture("PNG"))
    with pytest.raises(Unauthorised):
        pictures.content_of(means, DESK, big.key)
    pictures.switch(means, ADMIN, big.key, active=False)
    hall = screens.Shown("k", "hall", "hall", (), (), "t")
    assert [seconds for _key, seconds in screens.board(means, hall).pictures] == [8, 8, 8]
    door = screens.Shown("k", "door", "door", ("ROOM1",), (), "t")
    assert screens.board(means, door).pictures == ()
    pictures.remove(means, ADMIN, big.key)
    with means.database.reading() as session:
        assert len(pictures.all_of_them(session)) == 3
