"""Results, reports, trends, proposals; what a kill leaves, and the command that puts it back."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from plant_bench import PlantBench

from common.errors import BadInput, Refused
from common.text import set_language
from ptcs.commission_command import commission
from ptcs.commissioning import proposal, recover, report
from ptcs.commissioning.plan import Point, scan
from ptcs.commissioning.result import Quantity, Result, Table, Verdict
from ptcs.commissioning.results import keep, listed, load, of_kind, trends
from ptcs.commissioning.store import Store

TRIM = "acs/magnet/hebt-dipole-1/CurrentTrim"
pytestmark = pytest.mark.requirement("ACS-COMMISSION")


def made(store: Store, value: float, error: float = 0.1, when: str = "2026-01-01T00:00:00+00:00") -> Result:
    measured = store.begin(
        scan("Range of one energy", TRIM, [0.0, 0.1], ["a/b/c/X"]), (0.0,), "sven", {"site": "demo"}
    )
    for i in (0, 1):
        measured = store.append(measured, Point(i, (0.1 * i,), (value + i,), (error,), (5,), 1e9 + i))
    quantities = (
        Quantity("range", value, error, "mm", 157.0, 159.0),
        Quantity("width", 3.0, float("nan"), "mm"),
    )
    table = Table("ranges", ("energy MeV", "R80 mm"), ((150.0, value),))
    wish = {"settings": {TRIM: 0.1}, "reason": "because"}
    return keep(
        store,
        Result(
            measured.id, "range", "Range <1>", "sven", when, quantities, {"mu": 10.0}, {"site": "demo"},
            (table,), ("note",), wish,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(("value", "error", "verdict"), [
    (158.0, 0.1, Verdict.PASSED), (158.9, 0.1, Verdict.UNSURE), (159.1, 0.1, Verdict.FAILED),
    (float("nan"), 0.1, Verdict.FAILED), (158.0, float("nan"), Verdict.PASSED), (156.0, 9.0, Verdict.FAILED),
])  # fmt: skip
def test_a_verdict_knows_how_sure_it_is(value: float, error: float, verdict: Verdict) -> None:
    assert Quantity("range", value, error, "mm", 157.0, 159.0).verdict is verdict
    assert Quantity("width", value, error).verdict is Verdict.NONE


def test_a_result_is_kept_and_compared_with_earlier_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day, value in enumerate((158.0, 158.1, 157.9, 158.6)):
        result = made(store, value, when=f"2026-01-0{day + 1}T00:00:00+00:00")
    assert load(store, result.id).as_dict() == result.as_dict()
    moved = trends(of_kind(store, "range"))[0]
    assert moved.value == (158.0, 158.1, 157.9, 158.6) and moved.change == pytest.approx(4.2, abs=0.5)
    assert [row["verdict"] for row in listed(store)] == ["PASSED"] * 4
    assert listed(store)[0]["points"] == "2/2"
    with pytest.raises(BadInput, match="no quantity height: allowed are range, width"):
        result.quantity("height")
    with pytest.raises(BadInput, match="no measurement nothing"):
        load(store, "nothing")
    with pytest.raises(BadInput, match="no measurement"):
        store.folder("../etc")
    (store.folder(result.id) / "result.json").write_text('{"id": 1}')
    with pytest.raises(BadInput, match="cannot be read"):
        load(store, result.id)


def test_a_report_says_everything_in_both_languages(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = made(store, 158.0), made(store, 158.5, when="2026-01-02T00:00:00+00:00")
    path = report.write(store, second.id)
    assert path == store.folder(second.id) / "report.pdf"
    text = subprocess.run(
        ["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True
    ).stdout
    for part in (
        "Range <1>",
        "passed",
        second.id,
        "sven",
        "158.50 ± 0.10 mm",
        "157 .. 159",
        "R80 mm",
        "not a medical",
    ):
        assert part in text, part
    assert "Compared with earlier results" in text and first.id not in text
    try:
        set_language("zh")
        assert "测量者" in report.html(second)
    finally:
        set_language("en")


def test_a_proposal_is_written_and_an_unsure_one_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = proposal.write(store, made(store, 158.0))
    content = json.loads(path.read_text())
    assert content["changes"] == {"settings": {TRIM: 0.1}} and content["why"] == "because"
    assert content["evidence"]["range"] == [158.0, 0.1, "mm"]
    unsure = made(store, 158.95)
    assert json.loads(proposal.write(store, unsure).read_text())["verdict"] == "UNSURE", (
        "a calibration tells it"
    )
    with pytest.raises(BadInput, match="only a correction that passed"):
        proposal.proposal(replace(unsure, kind="orbit"))


KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from plant_bench import PlantBench, session
from ptcs.commissioning.plan import scan
bench = PlantBench("demo")
here = session(bench, Path(sys.argv[1]))
here.watch.append(lambda measured: (print("point", flush=True), sys.stdin.read()))
SPOT = ["room1/beam/nozzle/SpotX"]
plan = scan("killed", "acs/magnet/hebt-dipole-1/CurrentTrim", [0.05, 0.1], SPOT, samples=2)
here.run(plan)
"""


@pytest.fixture(scope="module")
def bench() -> PlantBench:
    return PlantBench("demo")


def test_a_killed_measurement_says_so_and_is_put_back_when_asked(bench: PlantBench, tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == b"point\n"
    store = Store(tmp_path)
    (note,) = store.pending()
    assert store.orphans() == [] and note.settings == {TRIM: 0.0} and note.pid == child.pid
    with pytest.raises(Refused, match="puts its settings back itself"):
        recover.put_back(bench, store, note)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert store.orphans() == [note] and len(store.load(note.id).points) == 1
    listing = CliRunner().invoke(commission, ["list", "--state", str(tmp_path)])
    assert "ptcs commission recover" in listing.stderr and note.id[:15] in listing.stdout
    bench.write(TRIM, 0.05)  # as the killed one has left it
    (left,) = recover.left(bench, note)
    assert (left.now, left.before, left.away) == (0.05, 0.0, True)
    assert recover.put_back(bench, store, note) == {TRIM: 0.0}
    assert bench.read([TRIM]).values[0] == 0.0 and store.pending() == []


def test_the_commands_list_report_and_compare(tmp_path: Path) -> None:
    store, run = Store(tmp_path), CliRunner()
    result = made(store, 158.0)
    where = ["--state", str(tmp_path)]
    rows = json.loads(run.invoke(commission, ["list", "--json", *where]).stdout)
    assert [row["id"] for row in rows] == [result.id]
    assert "158.00" in run.invoke(commission, ["report", result.id, "--text", *where]).stdout
    assert "range" in run.invoke(commission, ["trend", "range", *where]).stdout
    assert "nothing is left" in run.invoke(commission, ["recover", *where]).stdout
    missing = run.invoke(commission, ["trend", "weather", *where])
    assert isinstance(missing.exception, BadInput)
