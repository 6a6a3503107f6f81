"""The site's table: loaded, checked, shown."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from common import site
from common.errors import BadConfig
from interlock import beam_off, diagrams, html, search
from interlock.matrix import Kind, Matrix, load
from tests.conftest import REPOSITORY
from tests.interlock.site_tables import BOTH, FEATURES, table

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

SITE = site.load()


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load(SITE.interlock_path)


def test_every_watched_client_of_the_site_is_a_row(matrix: Matrix) -> None:
    assert {f"watchdog.{client}" for client in SITE.watchdogs["clients"]} <= set(matrix.input_names)


def test_fast_actuator_is_as_fast_as_the_site_says(matrix: Matrix) -> None:
    fast = next(output for output in matrix.outputs if output.name == matrix.fast_output)
    assert fast.off_us == SITE.delivery["fast_off_us"]
    assert fast.off_us == min(output.off_us for output in matrix.outputs)


def changed(tmp_path: Path, **changes: object) -> Path:
    """The site's file with an input row or a top-level key changed."""
    content = yaml.safe_load(SITE.interlock_path.read_text(encoding="utf-8"))
    name = changes.pop("input", None)
    target = next(row for row in content["inputs"] if row["name"] == name) if name else content
    target.update(changes)
    path = tmp_path / "interlock.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"input": "emergency_stop", "maskable": True}, "never masked"),
        ({"input": "couch", "maskable": True}, "never masked"),
        ({"input": "rf", "cuts": ["source"]}, "does not cut extraction"),
        ({"input": "rf", "cuts": ["extraction", "kicker"]}, "unknown output kicker"),
        ({"input": "rf", "name": "water"}, "named twice: water"),
        ({"input": "session.request", "latch": "always"}, "must be unlatched"),
        ({"input": "mode.service", "cuts": ["extraction"]}, "it cuts nothing"),
        ({"input": "rf", "latch": "sometimes"}, "is not one of"),
        ({"input": "rf", "colour": "red"}, "colour"),
        ({"arming": ["nobody"]}, "unknown input nobody"),
        ({"arming": ["rf"]}, "must be a request"),
        ({"service_key": "rf"}, "is of kind key"),
        ({"fast_output": "kicker"}, "unknown output kicker"),
        ({"mask_limit_s": 1e9}, "maximum"),
        (
            {
                "authority": {
                    "reset": {"patient": ["king"], "personnel": ["service"], "equipment": ["service"]},
                    "mask": {},
                }
            },
            "unknown role king",
        ),
    ],
)
def test_contradictions_are_refused_by_name(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(BadConfig, match=complaint):
        load(changed(tmp_path, **changes))


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "interlock.yaml"
    path.write_text("inputs: [", encoding="utf-8")
    with pytest.raises(BadConfig, match="cannot read"):
        load(path)


class _Cells(HTMLParser):
    """Counts marks per row id."""

    def __init__(self) -> None:
        super().__init__()
        self.row = ""
        self.marks: dict[str, int] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.row = dict(attrs).get("id") or ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.row:
            self.marks[self.row] = self.marks.get(self.row, 0) + (data == "●")


def test_page_shows_every_cell_in_both_languages(matrix: Matrix) -> None:
    cells = _Cells()
    cells.feed(html.page(matrix))
    assert cells.marks == {row.name: len(row.cuts) for row in matrix.inputs}
    for row in matrix.inputs:
        assert row.text.en in cells.text
        assert row.text.zh in cells.text
    assert sum(row.kind is Kind.FAULT for row in matrix.inputs) >= 20


@pytest.mark.parametrize(
    ("what", "name"), [("html", "interlock-matrix.html"), ("diagrams", "interlock-diagrams.html")]
)
def test_page_in_the_documentation_is_of_this_table(what: str, name: str) -> None:
    """After a change of the table: python -m interlock WHAT config/interlock.yaml > PAGE."""
    command = [sys.executable, "-m", "interlock", what, str(SITE.interlock_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == (REPOSITORY / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_diagrams_show_every_state_and_event() -> None:
    shown = diagrams.page(table("features"))
    for states in (search.TABLE, beam_off.TABLE, diagrams.MASK, diagrams.latch(table("features"))):
        for state, events in states.items():
            picture = f">{state}</text>"
            assert picture in shown
            for event, after in events.items():
                assert f"<td>{state}</td><td>{event}</td><td>{after}</td>" in shown


@pytest.mark.parametrize("name", BOTH)
def test_page_marks_what_an_isolated_room_spares(name: str) -> None:
    shown = html.page(table(name))
    rooms = {output.name: output.room for output in table(name).outputs}
    spared = sum(bool(r.room) and rooms[o] != r.room for r in table(name).inputs for o in r.cuts)
    cut = sum(len(row.cuts) for row in table(name).inputs)
    assert shown.count('<td class="cell spared">') == spared
    assert shown.count('<td class="cell">●</td>') == cut - spared


def test_command_sums_a_table_up_and_proves_it() -> None:
    def told(what: str) -> str:
        command = [sys.executable, "-m", "interlock", what, str(FEATURES)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout

    assert told("check").startswith(
        "rooms: 16 inputs (3 patient, 9 personnel, 4 equipment; 6 of two channels)"
    )
    assert all(line.endswith(": holds") for line in told("prove").splitlines())


def test_command_tells_why_a_table_is_bad(tmp_path: Path) -> None:
    bad = changed(tmp_path, input="rf", cuts=["source"])
    command = [sys.executable, "-m", "interlock", "prove", str(bad)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not cut extraction" in done.stderr
