"""kill -9 at random moments of what keeps snapshots, entries, proposals: no acknowledged one is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import hashchain
from device_servers.central.catalogue_book import CatalogueBook
from device_servers.services.logbook.book import Book
from device_servers.services.settings.store import Store

LOGS = {
    "settings/settings.log": "snapshot",
    "logbook/logbook.log": "entry",
    "catalogue/catalogue.log": "version",
}
ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from device_servers.central.catalogue_book import CatalogueBook
from device_servers.services.logbook.book import Book
from device_servers.services.settings.configuration import Row
from device_servers.services.settings.reading import Reading
from device_servers.services.settings.snapshot import Head, Snapshot
from device_servers.services.settings.store import Store

root = Path(sys.argv[1])
store, book, beams = Store(root / "settings"), Book(root / "logbook"), CatalogueBook(root / "catalogue")
row = Row("d/a/1/Value", {"": "g"}, "d/a/1/Value")
print("ready", flush=True)
while True:
    head = Head(store.new_id(), "demo", "all", 1, "abc", 1.0, 2.0, "otto", "x" * 2000)
    made = Snapshot(head, ("g",), (row,) * 50, (Reading(1.0, "VALID", 1.0),) * 50, {})
    print("snapshot", store.add(made, []).summary["id"], flush=True)
    print("entry", book.add({"title": "t", "text": "束流" * 500}, "otto").number, flush=True)
    wish = {"settings": {"q": 1.0}, "why": "w"}
    made = beams.propose("e", wish, {"q": 1.0}, {}, "petra", frozenset({"physicist"}))
    print("version", made.number, flush=True)
"""


def kill_once(root: Path, after_s: float) -> list[str]:
    """Lines that the writer acknowledged before it was killed."""
    with (root / "said").open("wb") as said:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        writer = subprocess.Popen([sys.executable, "-c", WRITER, root], stdout=said, env=environment)
        while b"ready" not in (root / "said").read_bytes():
            assert writer.poll() is None
            time.sleep(0.01)
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    text = (root / "said").read_text()
    return text[: text.rfind("\n") + 1].splitlines()[1:]


@pytest.mark.requirement("ACS-SNAPSHOT")
def test_nothing_acknowledged_is_lost_at_a_kill(tmp_path: Path) -> None:
    rounds, seed = int(os.environ.get("PTCS_KILLS", "3")), int(os.environ.get("PTCS_SEED", "1"))
    moments = random.Random(seed)
    told: list[str] = []
    for _round in range(rounds):
        told += kill_once(tmp_path, moments.uniform(0.0, 0.5))
    store, book, beams = (
        Store(tmp_path / "settings"),
        Book(tmp_path / "logbook"),
        CatalogueBook(tmp_path / "catalogue"),
    )
    assert not (store.broken or book.broken or book.behind or beams.broken)
    versions = {version.number for version in beams.versions.of("e")}
    for line in told:
        kind, name = line.split()
        if kind == "snapshot":
            assert store.read(name).head.id == name
        elif kind == "entry":
            assert book.versions(int(name))[0]["number"] == int(name)
        else:
            assert int(name) in versions
    assert len(book.find({"text": "束流", "limit": 1000})) == min(book.count, 1000)
    for log, kind in LOGS.items():
        assert hashchain.verify(tmp_path / log) >= sum(line.startswith(kind) for line in told)
    for part in (store, book, beams):
        part.close()
