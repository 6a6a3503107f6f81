"""Pages, kiosk, screens and REST of the queue on a real OIS process."""

import io
import subprocess
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from common import site
from common.errors import LinkLost
from common.state import StateDir
from ois_bridge import process
from ois_bridge.interfaces.features import HttpReaders
from ois_bridge.interfaces.voice import VOICES, Espeak
from ois_bridge.models.queue import BiometricTemplate
from ois_bridge.services.queue import screens, sign_in
from simulation.messages.reader import FakeReader
from tests.ois_bridge.conftest import Ois, start
from tests.ois_bridge.queue_case import ADMINISTRATOR, THERAPIST, patient, visit

pytestmark = pytest.mark.requirement("OIS-QUEUE")


@dataclass
class Department:
    """A running OIS with two patients booked for ROOM1 now, and paired screens."""

    ois: Ois
    visits: list[str]
    secrets: dict[str, str]
    reader: FakeReader

    def log_in(self, user: str) -> httpx.Client:
        client = httpx.Client(
            base_url=self.ois.url, trust_env=False, timeout=60, headers={"Accept-Language": "en"}
        )
        token = client.get("/login").text.split('name="csrf" value="')[1].split('"')[0]
        answer = client.post(
            "/login", data={"user": user, "password": self.ois.password(user), "csrf": token}
        )
        assert answer.status_code == 303, answer.text
        return client

    def screen(self, kind: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.ois.url, trust_env=False, timeout=60, cookies={"ptcs_screen": self.secrets[kind]}
        )


def token(page: httpx.Response) -> str:
    return page.text.split("X-CSRF-Token&#34;: &#34;")[-1].split('X-CSRF-Token": "')[-1].split('"')[0]


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    root = tmp_path_factory.mktemp("queue") / "state"
    means = process.build(StateDir(root), site.load())
    soon = f"{(datetime.now(UTC) + timedelta(minutes=5)).astimezone():%H:%M}"
    day = (datetime.now().astimezone().date() - datetime(2026, 11, 23).date()).days
    keys = [patient(means, f"P{number}", name=f"张^小{number}", barcode=f"BC{number}") for number in (1, 2)]
    visits = [visit(means, key, "ROOM1", soon, day) for key in keys]
    secrets = {}
    for kind, devices in (("hall", []), ("door", ["ROOM2"]), ("kiosk", [])):
        row = screens.add(means, ADMINISTRATOR, kind, kind, devices, "zh en")
        secrets[kind] = screens.pair(means, ADMINISTRATOR, row.key)
    with means.database.writing() as session:
        session.add(
            BiometricTemplate(
                template="face-1", patient_key=keys[0], enrolled=means.now(), enrolled_by="test"
            )
        )
    reader = FakeReader()
    reader.start()
    (root / "ois" / "readers.yaml").write_text(yaml.safe_dump({"format": 1, "readers": {"any": reader.url}}))
    sign_in.of_visit(means, THERAPIST, visits[1])
    means.close()
    ois = start(root)
    yield Department(ois, visits, secrets, reader)
    reader.stop()
    assert ois.stop() == 0


def test_kiosk_signs_in_with_masked_name_and_its_own_token(department: Department) -> None:
    with department.screen("kiosk") as kiosk:
        own = token(kiosk.get("/kiosk"))
        assert kiosk.post("/kiosk/sign-in", data={"code": "BC1"}).status_code == 403
        kiosk.headers["X-CSRF-Token"] = own
        unknown = kiosk.post("/kiosk/sign-in", data={"code": "nobody"}).text
        assert "未找到该号码" in unknown
        assert "not known here" in unknown
        department.reader.template = "face-1"
        done = kiosk.post("/kiosk/face", data={}).text
        assert "张*1" in done
        assert "张小1" not in done
        again = kiosk.post("/kiosk/sign-in", data={"code": "BC1", "way": "barcode"}).text
        assert "您已签到" in again
        department.reader.template = "somebody"
        assert "does not know you" in kiosk.post("/kiosk/face", data={}).text
        for _wrong in range(8):
            kiosk.post("/kiosk/sign-in", data={"code": "guess"})
        assert "错误次数过多" in kiosk.post("/kiosk/sign-in", data={"code": "BC1"}).text


def test_screens_show_masked_names_to_paired_browsers_only(department: Department) -> None:
    with httpx.Client(base_url=department.ois.url, trust_env=False) as stranger:
        for path in ("/screen/hall", "/screen/board", "/screen/live", "/kiosk", "/screen"):
            assert stranger.get(path).status_code == 303, path
        stranger.cookies.set("ptcs_screen", "guess")
        assert stranger.get("/screen/board").status_code == 303
    with department.screen("hall") as hall:
        shown = hall.get("/screen/hall").text
        assert "张*2" in shown
        assert "张小2" not in shown
        assert hall.get("/queue").status_code == 303, "a screen sees no other page"
    with department.screen("door") as door:
        assert door.get("/screen").headers["location"] == "/screen/door/ROOM2"
        assert door.get("/screen/door/ROOM1").status_code == 303, "another room's door"
        assert "张*2" not in door.get("/screen/door/ROOM2").text


def test_therapist_calls_and_the_voice_says_it_to_its_screens(department: Department) -> None:
    key = department.visits[1]
    with closing(department.log_in("therapist")) as therapist, department.screen("hall") as hall:
        assert therapist.post(f"/queue/visits/{key}/call", data={"device": "ROOM1"}).status_code == 403
        therapist.headers["X-CSRF-Token"] = token(therapist.get("/queue?device=ROOM1"))
        called = therapist.post(f"/queue/visits/{key}/call", data={"device": "ROOM1"})
        assert "In the room, identity checked" in called.text
        assert "Not done" in therapist.post(f"/queue/visits/{key}/finish", data={"device": "ROOM1"}).text
        assert therapist.post(f"/queue/visits/{key}/dance", data={"device": "ROOM1"}).text.count("Steps are")
        call = hall.get("/screen/board").text.split('data-call="')[1].split('"')[0]
        sound = hall.get(f"/screen/calls/{call}.wav")
        with wave.open(io.BytesIO(sound.content)) as spoken:
            assert spoken.getframerate() == 22050
        with department.screen("door") as door:
            assert door.get(f"/screen/calls/{call}.wav").status_code == 404, "ROOM2 says no call of ROOM1"
    with closing(department.log_in("receptionist")) as receptionist:
        receptionist.headers["X-CSRF-Token"] = token(receptionist.get("/queue"))
        assert receptionist.post(f"/queue/visits/{key}/call", data={}).status_code == 403
        assert receptionist.get("/screens").status_code == 403
        assert receptionist.get("/outbox").status_code == 403
        assert receptionist.get("/queue/order").status_code == 403
    assert "张^小2" not in department.ois.log()


def test_rest_queue_and_sign_in(department: Department) -> None:
    with department.ois.as_user("therapist") as therapist, department.ois.as_user("physicist") as physicist:
        queue = physicist.get("/queue/ROOM1").json()
        rows = queue["current"] + queue["waiting"] + queue["expected"]
        assert {row["patient_id"] for row in rows} == {"P1", "P2"}
        assert physicist.get("/queue/NOWHERE").status_code == 404
        assert physicist.post("/queue/sign-in", json={"code": "P1"}).status_code == 403
        unknown = therapist.post("/queue/sign-in", json={"code": "nobody"})
        assert (unknown.status_code, "not known" in unknown.json()["error"]) == (409, True)
        done = therapist.post("/queue/sign-in", json={"code": "P2"}).json()
        assert (done["state"], done["number"], done["name"]) == ("again", 1, "张*2")
        assert therapist.post("/queue/sign-in", json={"code": "P2", "more": 1}).status_code == 422


def test_voice_speaks_mandarin_and_keeps_no_names(tmp_path: Path) -> None:
    voice = Espeak(tmp_path / "voice")
    content, complete = voice.sound([("zh", "请,12 号,张某明"), ("en", "Number 12")])
    if not complete:
        pytest.skip("espeak-ng is not installed (packages.apt)")
    assert voice.sound([("zh", "请,12 号,张某明"), ("en", "Number 12")]) == (content, True)
    (kept,) = (tmp_path / "voice").iterdir()
    assert len(kept.stem) == 64
    said = subprocess.run(
        ["espeak-ng", "-v", VOICES["zh"], "-q", "-x", "请 张"], check=True, capture_output=True, text=True
    ).stdout
    assert "(en)" not in said, "characters are not spelt in English"
    assert voice.sweep() == 0
    Espeak(tmp_path / "voice")
    assert not (tmp_path / "voice").exists(), "a new process keeps nothing of the one before"


def test_without_a_voice_there_is_a_chime_and_a_word(tmp_path: Path) -> None:
    content, complete = Espeak(tmp_path / "voice", program="no-such-voice").sound([("zh", "请")])
    assert not complete
    with wave.open(io.BytesIO(content)) as sound:
        assert sound.getnframes() > 22050 // 2
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(LinkLost, match="voice failed"):
        Espeak(tmp_path / "voice", program=str(failing)).sound([("zh", "请")])


def test_reader_that_is_away_is_told(tmp_path: Path) -> None:
    path = tmp_path / "readers.yaml"
    path.write_text("format: 1\nreaders: {ROOM1: 'http://127.0.0.1:9/'}\n")
    with pytest.raises(LinkLost, match="reader does not answer"):
        HttpReaders(path).read("ROOM1")
