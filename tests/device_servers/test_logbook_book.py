"""The logbook without Tango: entered, found, amended; what a crash, a full disk or a forger does to it."""

import base64
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common import chain_lines, hashchain
from common import site as sites
from common.errors import Refused, Tampered
from common.hashchain import ChainLog
from common.text import saying, translate
from device_servers.services.logbook import alarm_acts
from device_servers.services.logbook.automatic import SOURCE, Heard, mode_entry, trip_entry
from device_servers.services.logbook.book import Book
from device_servers.services.logbook.entry import Attachment
from device_servers.services.logbook.words import query
from ptcs.logbook_page import markdown

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


Opened = Callable[[], Book]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens the logbook in the test's folder; closes every one in the end."""
    books: list[Book] = []

    def made() -> Book:
        books.append(Book(tmp_path))
        return books[-1]

    yield made
    for book in books:
        book.close()


def titles(book: Book, **wish: Any) -> list[str]:
    return [row["title"] for row in book.find(wish)]


def attached(name: str, content: bytes) -> dict[str, Any]:
    return {"title": "t", "attachments": [{"name": name, "content": base64.b64encode(content).decode()}]}


def test_two_character_chinese_words_beginnings_and_device_names_are_found(opened: Opened) -> None:
    book = opened()
    book.add({"title": "二极磁铁电源更换", "text": "今天上午更换了功率模块", "tags": ["维护"]}, "otto")
    book.add(
        {
            "title": "Ring dipole trip",
            "text": "see acs/magnet/ring-dipole",
            "about": ["acs/magnet/ring-dipole"],
        },
        "otto",
    )
    for word in ("磁铁", "电源", "更换", "模块", "维护", "极磁"):
        assert titles(book, text=word) == ["二极磁铁电源更换"], word
    assert titles(book, text="铁磁") == []
    assert titles(book, text="dipo") == titles(book, text="ring-dipole") == ["Ring dipole trip"]
    assert titles(book, text='"dipole ring"') == []
    assert titles(book, about="acs/magnet/ring-dipole") == ["Ring dipole trip"]
    for hostile in ('"', "*", "a OR b", "NEAR(", "title:x", "磁铁 AND", "'; DROP TABLE entry; --", "-"):
        book.find({"text": hostile})
    assert query("") == query("-*") == ""


def test_an_amendment_is_a_new_version_and_the_old_one_stays(opened: Opened) -> None:
    book = opened()
    number = book.add({"title": "Beam lost", "text": "at 9", "tags": ["night"]}, "otto").number
    with pytest.raises(Refused, match="reason"):
        book.amend(number, {"text": "at 10"}, "petra")
    book.amend(number, {"text": "at 10", "reason": "wrong clock"}, "petra")
    newest, oldest = book.versions(number)
    assert (newest["version"], newest["text"], newest["user"], newest["title"]) == (
        2,
        "at 10",
        "petra",
        "Beam lost",
    )
    assert (oldest["version"], oldest["text"], oldest["user"]) == (1, "at 9", "otto")
    assert titles(book, text="9") == [] and titles(book, text="10") == ["Beam lost"]
    assert len(book.find({})) == book.count == 1
    with pytest.raises(Refused):
        book.amend(99, {"reason": "x"}, "petra")


def test_a_key_makes_an_entry_happen_once_also_after_a_restart(opened: Opened) -> None:
    book = opened()
    wish = {"title": "trip", "key": "trip:1"}
    first = book.add(wish, "", "alarm")
    book.close()
    book = opened()
    assert book.add(wish, "", "alarm").number == first.number
    assert book.add(wish, "", "snapshot").number == first.number + 1
    assert book.count == 2


def test_the_index_is_made_anew_from_the_log(opened: Opened, tmp_path: Path) -> None:
    book = opened()
    for number in range(5):
        book.add({"title": f"entry {number}", "text": "束流"}, "otto")
    book.close()
    (tmp_path / "index.db").write_bytes(b"no database")
    book = opened()
    assert len(titles(book, text="束流")) == 5
    book.close()
    with sqlite3.connect(tmp_path / "index.db") as base:  # a crash: the log has more than the index
        base.execute("DELETE FROM entry WHERE number = 5")
        head = chain_lines.link("0" * 64, {})
        base.execute("UPDATE taken SET count = 4, head = ?", (head,))
    base.close()
    assert len(titles(opened(), text="束流")) == 5


def test_a_changed_log_takes_no_entries(opened: Opened, tmp_path: Path) -> None:
    book = opened()
    book.add({"title": "the truth"}, "otto")
    book.close()
    path = tmp_path / "logbook.log"
    path.write_bytes(path.read_bytes().replace(b"the truth", b"the lie!!"))
    book = opened()
    assert "cannot be trusted" in book.broken
    with pytest.raises(Refused):
        book.add({"title": "more"}, "otto")


def test_a_full_disk_refuses_and_the_next_entry_is_good(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = opened()
    book.add({"title": "one"}, "otto")

    def full(_log: ChainLog, _entry: Any) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ChainLog, "append", full)
        with pytest.raises(Refused, match="free disk space"):
            book.add({"title": "two"}, "otto")
    assert book.add({"title": "three"}, "otto").number == 2
    assert titles(book) == ["three", "one"]
    assert hashchain.verify(tmp_path / "logbook.log") == 2


def test_attachments_are_of_their_type_and_size_and_stay_as_they_were(opened: Opened, tmp_path: Path) -> None:
    book = opened()
    number = book.add(attached("scope.png", PNG), "otto").number
    file = Attachment(**book.versions(number)[0]["attachments"][0])
    assert (file.name, file.size, file.type) == ("scope.png", len(PNG), "image/png")
    assert book.files.read(file) == PNG
    for name, content in (
        ("scope.png", b"no picture"),
        ("run.exe", b"MZ"),
        ("../up.txt", b"x"),
        (".hidden.txt", b"x"),
        ("half.json", b"{"),
        ("binary.txt", b"\xff\xfe\0"),
        ("large.txt", b"a" * ((8 << 20) + 1)),
    ):
        with pytest.raises(Refused):
            book.add(attached(name, content), "otto")
    with pytest.raises(Refused, match="base64"):
        book.add({"title": "t", "attachments": [{"name": "a.txt", "content": "§"}]}, "otto")
    path = tmp_path / "attachments" / file.sha256
    path.chmod(0o644)
    path.write_bytes(PNG[::-1])
    with pytest.raises(Tampered):
        book.files.read(file)


@pytest.mark.parametrize(
    "wish",
    [{}, {"title": ""}, {"title": "a\nb"}, {"title": "x" * 201}, {"title": 5}, {"title": "a", "tags": "b"},
     {"title": "a", "tags": [""]}, {"title": "a", "text": "x" * 20_001}, {"title": "a", "kind": 3}],
)  # fmt: skip
def test_what_is_no_entry_is_refused(opened: Opened, wish: dict[str, Any]) -> None:
    book = opened()
    with pytest.raises(Refused):
        book.add(wish, "otto")
    assert book.count == 0 and json.loads(json.dumps(book.find({}))) == []


def alarm_row(
    name: str, when: float, event: str = "ACK", user: str = "otto", note: str = "seen"
) -> dict[str, Any]:
    return {"name": name, "time": when, "event": event, "user": user, "note": note}


def test_an_act_on_a_thousand_alarms_is_one_entry_and_each_act_comes_once(opened: Opened) -> None:
    book, now = opened(), time.time()
    rows = [alarm_row(f"alarm-{number:04d}", now) for number in range(1000)]
    rows += [alarm_row("pump", now + 1, "SHELVE", "petra", ""), alarm_row("pump", now + 1, "RAISE", "", "")]

    def ask(wish: str) -> str:
        since = json.loads(wish)["from"]
        return json.dumps([row for row in reversed(rows) if row["time"] >= since])

    for _round in range(3):  # a second and third look bring nothing new
        last = book.find({"kind": alarm_acts.KIND, "source": SOURCE, "limit": 1})
        for wish in alarm_acts.entries(ask, "services/alarms/1", last[0] if last else None):
            book.add(wish, wish["user"], SOURCE)
    found = book.find({"kind": alarm_acts.KIND})
    assert [row["user"] for row in found] == ["petra", "otto"]
    assert "pump" in found[0]["title"] and found[1]["title"].startswith("1000 alarms")
    assert "seen" in found[1]["text"] and "alarm-0000" in found[1]["text"]


def test_modes_are_entered_when_they_change_and_trips_once(opened: Opened) -> None:
    book = opened()
    site = sites.load(sites.CONFIG / "synchrotron.yaml")
    mode, interlock = site.of_class("MachineMode")[0], site.of_class("Interlock")[0]
    book.add({"title": "a hand-written one", "kind": "mode", "about": [mode.name]}, "otto")
    for word in ("CLINICAL", "CLINICAL", "PHYSICS", "", "PHYSICS"):
        for wish in mode_entry(Heard(mode, "Mode", word), book):
            book.add(wish, "", SOURCE)
    trip = json.dumps({"input": "door", "cause": "open", "tick": 5, "wall_ns": 7, "beam_off_tick": 6})
    for told in (trip, trip, ""):
        for wish in trip_entry(Heard(interlock, "LastTrip", told), book):
            book.add(wish, "", SOURCE)
    assert titles(book, source=SOURCE) == [
        "trip: door",
        "machine mode CLINICAL -> PHYSICS",
        "machine mode CLINICAL",
    ]
    assert titles(book, text="跳闸") == ["trip: door"]  # found in the reader's language too
    assert titles(book, text="trip") == ["trip: door"]


def test_automatic_entries_are_read_in_the_language_of_the_reader(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = opened()
    word = saying("approved")
    title = saying("catalogue entry {entry}: version {number} {word}", entry="C-12", number=3, word=word)
    made = book.add({"title": title, "text": "per year"}, "petra", "catalogue")
    book.add({"title": "Hand, as it was written"}, "otto")
    shown = {}
    for code in ("en", "zh"):
        monkeypatch.setenv("PTCS_LANG", code)
        shown[code] = markdown(book.find({}), "-")
    assert "catalogue entry C-12: version 3 approved" in shown["en"] and made.title in shown["en"]
    assert translate("approved", "zh") in shown["zh"] and "catalogue entry" not in shown["zh"]
    assert all("Hand, as it was written" in text and "per year" in text for text in shown.values())
    monkeypatch.setenv("PTCS_LANG", "en")
    book.amend(made.number, {"title": "by hand", "reason": "clearer"}, "petra")
    assert "by hand" in markdown(book.find({}), "-")
    book.close()
    assert opened().versions(made.number)[1]["sayings"] == {"title": title}
    for bad in (["x"], ["{a}", {}], ["{a}", {"a": [1]}], [1, {}], ["x", 5]):
        with pytest.raises(Refused, match="cannot be told"):
            opened().add({"title": bad}, "", "catalogue")
