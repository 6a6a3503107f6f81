"""Time of a search among a million synthetic patients, in the service, one JSON line a kind.

search-id: by whole patient ID, id card, hospital number or barcode. search-name: by a piece of a name: two
Chinese characters from its end or one, pinyin, initials. search-rules: two conditions on courses and one on
the patient, newest first. search-form: two characters in forms. Processor time (s) of the first page of 50
patients with their courses: median and p95. `peer`: the plain query `LIKE '%..%'` for the same texts on the
same file.
`python -m benchmarks.bench_department_search [PATIENTS [FILE]]`
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from benchmarks.department_fill import fill
from ois_bridge.domain import chinese, rules
from ois_bridge.models.clinical import Patient
from ois_bridge.models.database import Database
from ois_bridge.services.search import find
from ois_bridge.services.search import text as full_text
from ois_bridge.services.search.find import Query

TRIES, PEER_TRIES, FORMS = 200, 12, 20_000
RULES = {
    "match": "all",
    "rules": [
        {"field": "technique", "op": "is", "value": "IMPT"},
        {"field": "state", "op": "is", "value": "INTERRUPTED"},
        {"field": "sex", "op": "is", "value": "F"},
    ],
}


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder) / "million.db"
        if not path.exists():
            fill(path, patients)
        database = Database(path)
        try:
            measure(database, patients)
        finally:
            database.close()


def measure(database: Database, patients: int) -> None:
    draw = random.Random(2)
    with database.reading() as session:
        keys = [f"{draw.randrange(patients):016x}" for _ in range(TRIES)]
        people = session.scalars(select(Patient).where(Patient.key.in_(keys))).all()
    numbers = [draw.choice((p.patient_id, p.id_card, p.hospital_number, p.barcode)) for p in people]
    names = [wanted for person in people for wanted in _pieces(person, draw)]
    tell("search-id", patients, database, numbers, "patient_id")
    tell("search-name", patients, database, names, "name")
    group = rules.read(RULES)
    report(
        "search-rules", patients, timed(database, lambda s, _w: find.page(s, Query("", group)), names[:40])
    )
    write_forms(database, [person.key for person in people], draw)
    words = draw.choices(("靶区", "热塑", "鼻咽", "固定", "真空 固定"), k=TRIES)
    report("search-form", FORMS, timed(database, full_text.find, words))


def _pieces(person: Patient, draw: random.Random) -> list[str]:
    whole = chinese.chinese_of(person.name)
    return [whole[-2:], draw.choice(whole), "".join(chinese.syllables(whole)[1:]), person.initials]


def tell(name: str, patients: int, database: Database, wanted: Sequence[str], column: str) -> None:
    ours = timed(database, lambda session, piece: find.page(session, Query(piece)), wanted)
    like = text(f"SELECT * FROM patient WHERE {column} LIKE :w ORDER BY registered DESC LIMIT 50")
    peer = timed(
        database,
        lambda session, piece: session.execute(like, {"w": f"%{piece}%"}).all(),
        random.Random(3).sample(list(wanted), PEER_TRIES),
    )
    report(name, patients, ours, round(statistics.median(peer), 5))


def timed(database: Database, search: Callable[[Session, str], object], wanted: Sequence[str]) -> list[float]:
    """Seconds of processor time of each search, each in a session of its own, as requests have."""
    spent = []
    for piece in wanted:
        with database.reading() as session:
            begun = time.process_time()
            search(session, piece)
            spent.append(time.process_time() - begun)
    return spent


def report(name: str, size: int, spent: Sequence[float], peer: float | None = None) -> None:
    line = {
        "name": name,
        "value": round(statistics.median(spent), 5),
        "p95": round(statistics.quantiles(spent, n=20)[-1], 5),
        "worst": round(max(spent), 5),
        "unit": "s",
        "n": len(spent),
        "size": size,
    }
    print(json.dumps({**line, **({"peer": peer} if peer is not None else {})}), flush=True)


def write_forms(database: Database, keys: Sequence[str], draw: random.Random) -> None:
    phrases = (
        "靶区勾画完成",
        "热塑膜固定",
        "鼻咽肿瘤",
        "真空垫",
        "仰卧位 头先进",
        "skull base",
        "T2N0M0",
        "发泡胶",
    )
    with database.writing() as session:
        for number in range(FORMS):
            content = ", ".join(draw.choices(phrases, k=12))
            full_text.put(session, f"form{number:012}", None, draw.choice(keys), "plan-request", content)


if __name__ == "__main__":
    main()
