"""Scans on the plant's physics: checked before, written point by point, put back whatever happens."""

import json
from pathlib import Path

import numpy as np
import pytest
from plant_bench import PlantBench, session

from common.errors import BadInput, LinkLost, Refused
from ptcs.commissioning.fits.line import fit_line
from ptcs.commissioning.measure import Interfered, Session
from ptcs.commissioning.plan import Condition, Plan, Settle, scan
from ptcs.commissioning.sampling import BeamLost

TRIM, NEXT = "ring/magnet/ch3/CurrentTrim", "ring/magnet/ch5/CurrentTrim"
BPM = ("ring/diag/bpm6/X", "ring/diag/bpm6/Y")
pytestmark = pytest.mark.requirement("ACS-COMMISSION")


@pytest.fixture(scope="module")
def bench() -> PlantBench:
    return PlantBench()


@pytest.fixture
def here(bench: PlantBench, tmp_path: Path) -> Session:
    bench.refuse.clear()
    bench.gone.clear()
    bench.writes.clear()
    for name in (TRIM, NEXT):
        if bench.read([name]).values[0] != 0.0:
            bench.write(name, 0.0)
    bench.writes.clear()
    return session(bench, tmp_path)


def trim(bench: PlantBench, name: str = TRIM) -> float:
    return float(bench.read([name]).values[0])


def test_a_corrector_is_scanned_and_put_back(here: Session, bench: PlantBench) -> None:
    seen: list[int] = []
    here.watch.append(lambda measured: seen.append(len(measured.points)))
    plan = scan("ch3", TRIM, [-0.2, -0.1, 0.0, 0.1, 0.2], BPM, samples=8, settle=Settle(0.2, (TRIM,), 1e-6))
    measured = here.run(plan)
    assert seen == [1, 2, 3, 4, 5] and measured.complete
    line = fit_line(measured.settings()[:, 0], measured.mean()[:, 0], measured.error()[:, 0])
    assert abs(line.slope) > 30.0 * line.slope_error, "the corrector moves the beam"
    assert line.chi2 < 4.0
    assert np.nanmedian(measured.error()) == pytest.approx(0.02 / np.sqrt(8), rel=0.3)
    assert trim(bench) == 0.0 and here.store.pending() == []
    again = here.store.load(measured.id)
    assert again.points == measured.points and again.plan == plan
    assert here.store.head(measured.id)["user"] == "sven"


def test_what_cannot_be_done_is_refused_before_the_first_write(here: Session, bench: PlantBench) -> None:
    with pytest.raises(Refused, match=r"would go from -99 to 1: its limits are -15 to 15"):
        here.run(scan("too far", TRIM, [-99.0, 1.0], BPM))
    need = Condition("ring/magnet/dipole/Current", 0.0, 1.0)
    with pytest.raises(Refused, match="0 to 1 is needed"):
        here.run(scan("condition", TRIM, [0.1], BPM, require=(need,)))
    with pytest.raises(Refused, match="names no limits"):
        here.run(scan("no limits", "ring/diag/bpm1/X", [0.1], BPM))
    bench.gone.add("ring/diag/bpm6")
    with pytest.raises(LinkLost, match="no answer"):
        here.run(scan("gone", TRIM, [0.1], BPM))
    assert bench.writes == [] and here.store.ids() == []


@pytest.mark.parametrize("broken", [
    {"steps": ()}, {"steps": ((1.0, 2.0),)}, {"steps": ((float("nan"),),)}, {"samples": 0}, {"measure": ()},
    {"measure": ("a", "a")}, {"settle": Settle(0.1, ("x", "y"))},
])  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(broken: dict[str, object]) -> None:
    values = {"title": "t", "settings": (TRIM,), "steps": ((0.1,),), "measure": BPM} | broken
    with pytest.raises(BadInput):
        Plan(**values)  # type: ignore[arg-type]


def test_a_fault_amid_a_scan_puts_the_setting_back(here: Session, bench: PlantBench) -> None:
    here.watch.append(lambda measured: bench.gone.add("ring/diag/bpm6"))
    with pytest.raises(LinkLost):
        here.run(scan("fault", TRIM, [0.1, 0.2], BPM, samples=3))
    bench.gone.clear()
    assert trim(bench) == 0.0 and here.store.pending() == []
    assert len(here.store.load(here.store.ids()[-1]).points) == 1


def test_ctrl_c_puts_the_setting_back_and_the_scan_goes_on_later(here: Session, bench: PlantBench) -> None:
    def interrupt(_measured: object) -> None:
        raise KeyboardInterrupt

    here.watch.append(interrupt)
    plan = scan("interrupted", TRIM, [-0.1, 0.0, 0.1], BPM, samples=4)
    with pytest.raises(KeyboardInterrupt):
        here.run(plan)
    assert trim(bench) == 0.0
    here.watch.clear()
    number = here.store.ids()[-1]
    folder = here.store.folder(number)
    with (folder / "points.jsonl").open("a") as file:
        file.write('{"index": 1, "sett')  # what a kill leaves
    done = here.resume(number)
    assert [point.index for point in done.points] == [0, 1, 2] and done.complete
    assert len((folder / "points.jsonl").read_text().splitlines()) == 3
    bench.write(TRIM, 0.05)
    (folder / "points.jsonl").write_text("")
    with pytest.raises(Refused, match="do not stand where the measurement began"):
        here.resume(number)


def test_a_setting_that_somebody_else_writes_ends_the_scan_and_stays_theirs(
    here: Session, bench: PlantBench
) -> None:
    def other(measured: object) -> None:
        bench.write(TRIM, 0.5)

    here.watch.append(other)
    plan = Plan("two", (TRIM, NEXT), ((0.1, 0.1), (0.1, 0.2)), BPM, samples=3)
    with pytest.raises(
        Interfered, match=r"somebody else has set ring/magnet/ch3/CurrentTrim to 0\.5, it was 0\.1"
    ):
        here.run(plan)
    assert trim(bench) == 0.5 and trim(bench, NEXT) == 0.0
    assert here.store.pending() == []


def test_a_refused_write_is_told_and_a_refused_way_back_is_kept(here: Session, bench: PlantBench) -> None:
    bench.refuse.add(NEXT)
    plan = Plan("refused", (TRIM, NEXT), ((0.1, 0.1),), BPM, samples=3)
    with pytest.raises(Refused, match="ch5/CurrentTrim: not now"):
        here.run(plan)
    assert trim(bench) == 0.0 and here.store.pending() == []
    bench.refuse.clear()
    here.watch.append(lambda measured: bench.refuse.add(TRIM))
    with pytest.raises(LinkLost, match=r"not put back: ring/magnet/ch3/CurrentTrim = 0 .*commission recover"):
        here.run(scan("no way back", TRIM, [0.1], BPM, samples=3))
    (note,) = here.store.orphans()
    assert note.settings == {TRIM: 0.0}
    here.watch.clear()
    with pytest.raises(Refused, match="were never put back: `ptcs commission recover`"):
        here.run(scan("next", TRIM, [0.1], BPM))


def test_beam_that_is_gone_is_waited_for_then_given_up(here: Session, bench: PlantBench) -> None:
    told: list[str] = []

    def again(why: str) -> None:
        told.append(why)
        bench.plant.clear({"device": "ring-bpm6", "kind": "electronics"})

    here.lost = again
    bench.plant.inject({"device": "ring-bpm6", "kind": "electronics"})
    measured = here.run(scan("beam back", TRIM, [0.1], BPM, samples=3, patience_s=20.0))
    assert measured.complete and len(told) == 1 and "no value of" in told[0]
    here.lost = None
    bench.plant.inject({"device": "ring-bpm6", "kind": "electronics"})
    try:
        with pytest.raises(BeamLost, match="no value of ring/diag/bpm6/X"):
            here.run(scan("no beam", TRIM, [0.1], BPM, samples=3, patience_s=1.0))
        assert trim(bench) == 0.0
        both = (*BPM, "ring/diag/bpm8/X")
        part = here.run(scan("one blind", TRIM, [0.1], both, samples=3, patience_s=1.0))
    finally:
        bench.plant.clear({"device": "ring-bpm6"})
    point = part.points[0]
    assert point.count == (0, 0, 3) and np.isnan(point.mean[0]) and np.isfinite(point.mean[2])
    assert "bpm6/X gave 0 of 3 values" in point.notes[0]
    assert here.store.load(part.id).points[0].count == (0, 0, 3)
    assert json.loads((here.store.folder(part.id) / "points.jsonl").read_text())["mean"][0] is None


def test_a_value_that_does_not_change_is_not_new_where_it_must_change(
    here: Session, bench: PlantBench
) -> None:
    bench.plain["fixed/a/b/C"] = 1.5
    with pytest.raises(BeamLost):
        here.run(
            scan("stuck", TRIM, [0.1], ("fixed/a/b/C",), samples=2, patience_s=0.5, changing=("fixed/a/b/C",))
        )
    assert here.run(scan("free", TRIM, [0.1], ("fixed/a/b/C",), samples=2)).mean()[0, 0] == 1.5


def test_a_setting_that_does_not_settle_ends_the_scan(here: Session, bench: PlantBench) -> None:
    settle = Settle(0.1, ("ring/magnet/ch5/CurrentTrim",), 1e-6, limit_s=0.5)
    with pytest.raises(LinkLost, match=r"not settled in 0\.5 s"):
        here.run(scan("wrong readback", TRIM, [0.1], BPM, settle=settle))
    assert trim(bench) == 0.0
