"""Fills an OIS database with synthetic patients, quickly: rows in bulk, indexes afterwards, no person real.

`python -m benchmarks.department_fill FILE [PATIENTS]`
"""

import random
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from ois_bridge.domain import chinese, id_card, search_parts
from ois_bridge.models.database import Database

SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
    "程曹袁邓许傅沈彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国文志海波鹏飞宇浩欣怡子轩梓涵雨泽佳琪思远嘉晨"
    "诗瑶俊博天佑春生福根永康庆云立新家骏晓东振山学友少安"
)
DIAGNOSES = (
    ("鼻咽癌", "2B6B"),
    ("肺癌", "2C25"),
    ("肝细胞癌", "2C12.02"),
    ("前列腺癌", "2C82"),
    ("脊索瘤", "2B5J"),
)
TECHNIQUES = ("IMPT", "PBS", "Carbon", "IMRT", "VMAT")
STATES = ("ACTIVE", "ACTIVE", "ENDED", "HISTORY", "INTERRUPTED")
NAMES = 60_000
BATCH = 20_000


def fill(path: Path, patients: int, seed: int = 1) -> None:
    """Make the database file with its newest revision and fill it; the same seed gives the same patients."""
    Database(path).close()
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-400000"):
        raw.execute(f"PRAGMA {pragma}")
    tables = "('patient', 'course')"
    indexes = raw.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN {tables} AND sql <> ''"
    ).fetchall()
    for name, _sql in indexes:
        raw.execute(f"DROP INDEX {name}")
    draw = random.Random(seed)
    names = _names(draw)
    raw.execute("BEGIN")
    _rows(raw, patients, names, draw)
    _parts(raw, names)
    for _name, sql in indexes:
        raw.execute(sql)
    raw.execute("COMMIT")
    raw.execute("PRAGMA journal_mode=WAL")
    raw.close()


def _names(draw: random.Random) -> list[str]:
    """Distinct Chinese names as DICOM person names; given names of one or two characters."""
    found: dict[str, None] = {}
    while len(found) < NAMES:
        given = "".join(draw.choices(GIVEN, k=draw.choice((1, 2, 2))))
        found[chinese.person_name(draw.choice(SURNAMES) + given)] = None
    return list(found)


def _rows(raw: sqlite3.Connection, patients: int, names: list[str], draw: random.Random) -> None:
    raw.execute("CREATE TEMP TABLE named (key TEXT, name INTEGER)")
    for start in range(0, patients, BATCH):
        count = min(BATCH, patients - start)
        people = list(_people(start, count, names, draw))
        raw.executemany(
            "INSERT INTO patient (key, patient_id, name, birth_date, sex, id_card, hospital_number, barcode, "
            "pinyin, initials, registered, registered_by) VALUES (?,?,?,?,?,?,?,?,?,?,?,'fill')",
            [row[:-1] for row in people],
        )
        raw.executemany("INSERT INTO named VALUES (?,?)", [(row[0], row[-1]) for row in people])
        raw.executemany(
            "INSERT INTO course (key, patient_key, name, diagnosis, icd11, technique, source, physician, "
            "state, created, created_by) VALUES (?,?,'C1',?,?,?,?,'physician',?,?,'fill')",
            [_course(row, draw) for row in people],
        )


def _people(start: int, count: int, names: list[str], draw: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(start, start + count):
        name = draw.randrange(len(names))
        characters = chinese.chinese_of(names[name])
        born = f"{draw.randint(1930, 2015)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
        male = draw.random() < 0.5
        minute = number % 525_600
        moment = f"{2020 + number // 525_600}-{1 + minute // 43_800:02}-{1 + minute // 1_440 % 28:02}"
        yield (
            f"{number:016x}", f"RT{number:07}", names[name], born, "M" if male else "F",
            _card(number, born, male), f"ZY{number * 7:09}", f"P{number:010}",
            chinese.pinyin(characters), chinese.initials(characters),
            f"{moment} {minute // 60 % 24:02}:{minute % 60:02}:00.000000", name,
        )  # fmt: skip


def _card(number: int, born: str, male: bool) -> str:
    """A number of the form of an id card, each one once; no region has these codes."""
    digits = f"{990000 + number // 500:06}{born}{number // 5 % 100:02}{2 * (number % 5) + male}"
    return digits + id_card.check_character(digits)


def _course(row: tuple[object, ...], draw: random.Random) -> tuple[object, ...]:
    diagnosis, icd11 = draw.choice(DIAGNOSES)
    source = "inpatient" if draw.random() < 0.3 else "outpatient"
    return (
        f"c{str(row[0])[1:]}", row[0], diagnosis, icd11, draw.choice(TECHNIQUES), source, draw.choice(STATES),
        row[10],
    )  # fmt: skip


def _parts(raw: sqlite3.Connection, names: list[str]) -> None:
    """The pieces of names from the code that the OIS uses; joined to the patients inside the database."""
    raw.execute("CREATE TEMP TABLE piece (name INTEGER, part TEXT)")
    pieces = ((index, part) for index, name in enumerate(names) for part in search_parts.of_name(name))
    raw.executemany("INSERT INTO piece VALUES (?,?)", pieces)
    raw.execute("CREATE INDEX temp.piece_name ON piece (name)")
    numbers = "".join(
        f" UNION SELECT lower({column}), key FROM patient"
        for column in ("patient_id", "id_card", "hospital_number", "barcode")
    )
    raw.execute(
        "INSERT INTO search_part (part, patient_key) SELECT DISTINCT part, key FROM ("
        f"SELECT part, key FROM named JOIN piece USING (name){numbers}) ORDER BY 1, 2"
    )


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
