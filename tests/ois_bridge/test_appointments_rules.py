"""The rules of the sheet: calendar, hours, periods, rooms, beam, patients, zones with clock changes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from ois_bridge.domain.scheduling import calendar, constraints, generate, greedy, sheet, simulate
from ois_bridge.domain.scheduling.plan import (
    Beam,
    Book,
    Device,
    Effect,
    Period,
    Rules,
    Span,
    Visit,
    Wish,
    minute_of,
    moment,
)

pytestmark = pytest.mark.requirement("OIS-SCHEDULE")

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 11, 30)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OFFICE = dict.fromkeys(range(1, 6), ((8 * 60, 20 * 60),))


def room(name: str, **changes: object) -> Device:
    values: dict[str, object] = {
        "kinds": frozenset({"treatment", "qa"}), "particles": frozenset({"proton", "carbon"}), "beam": "main",
        "setup": 12, "leave": 4, "hours": OFFICE, **changes,
    }  # fmt: skip
    return Device(name, {"en": name, "zh": name}, **values)  # type: ignore[arg-type]


def book(*visits: Visit, zone: ZoneInfo = SHANGHAI, devices: Mapping[str, Device] | None = None) -> Book:
    rooms = devices or {name: room(name) for name in ("ROOM1", "ROOM2")}
    return Book(Rules(zone, beams={"main": Beam(1, 10)}), rooms, visits=visits)


def visit(minute: int, key: str = "new", device: str = "ROOM1", **changes: object) -> Visit:
    day = changes.pop("day", MONDAY)
    zone = changes.pop("zone", SHANGHAI)
    values: dict[str, object] = {
        "minutes": 20, "patient": key, "course": f"C-{key}", "particle": "proton", "kind": "treatment",
        **changes,
    }  # fmt: skip
    return Visit(key=key, device=device, start=moment(day, minute, zone), **values)  # type: ignore[arg-type]


def codes(held: Book, wanted: Visit, now: datetime = LONG_AGO) -> list[str]:
    return [finding.code for finding in constraints.check(held, wanted, now)]


def test_a_free_time_within_the_hours_is_allowed_and_others_are_not() -> None:
    held = book()
    assert codes(held, visit(9 * 60)) == []
    assert codes(held, visit(7 * 60 + 55)) == ["hours"]
    assert codes(held, visit(19 * 60 + 45)) == ["hours"]
    assert codes(held, visit(9 * 60 + 2)) == ["raster"]
    assert codes(held, visit(9 * 60, minutes=15)) == ["length"]
    assert codes(held, visit(9 * 60, device="ROOM9")) == ["device"]
    assert codes(held, visit(9 * 60, kind="simulation")) == ["kind"]
    assert codes(held, visit(9 * 60), now=moment(MONDAY, 9 * 60 + 1, SHANGHAI)) == ["past"]
    only_protons = {"ROOM1": room("ROOM1", particles=frozenset({"proton"}))}
    assert codes(book(devices=only_protons), visit(9 * 60, particle="carbon")) == ["particle"]


def test_holidays_and_make_up_days_change_what_is_open() -> None:
    saturday = MONDAY + timedelta(days=5)
    held = replace(book(), days={MONDAY: False, saturday: True})
    assert codes(held, visit(9 * 60)) == ["closed"]
    assert codes(held, visit(9 * 60, day=saturday)) == []
    assert codes(held, visit(9 * 60, day=saturday + timedelta(days=1))) == ["closed"]
    assert codes(held, visit(9 * 60, kind="qa", patient="", course="")) == []
    assert calendar.working_days(held.days, MONDAY, 2) == [MONDAY + timedelta(days=n) for n in (1, 2)]


@pytest.mark.parametrize(
    ("effect", "minute", "kind", "expected"),
    [
        (Effect.FORBIDDEN, 12 * 60, "treatment", ["forbidden"]),
        (Effect.FORBIDDEN, 12 * 60, "qa", []),
        (Effect.FORBIDDEN, 13 * 60, "treatment", []),
        (Effect.OPEN, 12 * 60, "treatment", []),
        (Effect.RESERVED, 12 * 60 + 40, "treatment", ["reserved"]),
    ],
)
def test_periods_forbid_open_and_reserve(effect: Effect, minute: int, kind: str, expected: list[str]) -> None:
    period = Period("ROOM1", effect, "qa", particle="carbon" if effect is Effect.RESERVED else "",
                    weekdays=frozenset({1}), minutes=(12 * 60, 13 * 60))  # fmt: skip
    assert codes(replace(book(), periods=[period]), visit(minute, kind=kind)) == expected


def test_an_open_period_lets_book_on_a_closed_day() -> None:
    sunday = MONDAY - timedelta(days=1)
    span = Span(moment(sunday, 600, SHANGHAI), moment(sunday, 720, SHANGHAI))
    held = replace(book(), periods=[Period("", Effect.OPEN, "extra", span=span)])
    assert codes(held, visit(600, day=sunday)) == []
    assert codes(held, visit(720, day=sunday)) == ["hours"]


def test_rooms_share_one_beam() -> None:
    # a visit at 9:00 has the beam from 9:12 to 9:16
    held = book(visit(540, "a"))
    assert codes(held, visit(550)) == ["taken"]
    assert codes(held, visit(540, device="ROOM2")) == ["beam"]
    assert codes(held, visit(545, device="ROOM2")) == []
    assert codes(held, visit(545, device="ROOM2", particle="carbon")) == ["beam"]
    assert codes(held, visit(555, device="ROOM2", particle="carbon")) == []
    own_beam = {"ROOM1": room("ROOM1"), "ROOM2": room("ROOM2", beam="")}
    assert codes(book(visit(540, "a"), devices=own_beam), visit(540, device="ROOM2")) == []


def test_a_patient_is_in_one_place_and_fractions_are_apart() -> None:
    first = visit(540, "a")
    same = {"patient": "a", "course": "C-a"}
    held = book(first)
    assert codes(held, visit(545, device="ROOM2", **same)) == ["patient", "spacing"]
    assert codes(held, visit(540 + 6 * 60, **same)) == ["spacing"]
    assert codes(held, visit(540, day=MONDAY + timedelta(days=1), **same)) == []
    twice = replace(held, wishes={"C-a": Wish(per_day=2)})
    assert codes(twice, visit(540 + 6 * 60, **same)) == []
    assert codes(twice, visit(540 + 6 * 60 - 5, **same)) == ["spacing"]


def test_wishes_are_told_and_not_forbidden() -> None:
    held = replace(book(), wishes={"C-new": Wish(600, 720, weekdays=frozenset({2}))})
    found = constraints.check(held, visit(540), LONG_AGO)
    assert [finding.hard for finding in found] == [False, False]
    assert codes(held, visit(705, day=MONDAY + timedelta(days=1))) == ["wish"]
    assert codes(held, visit(660, day=MONDAY + timedelta(days=1))) == []


def test_capacity_counts_visits_of_the_day() -> None:
    small = {"ROOM1": room("ROOM1", capacity=2)}
    held = book(visit(540, "a"), visit(600, "b"), devices=small)
    assert codes(held, visit(660)) == ["capacity"]
    assert codes(held, visit(660, day=MONDAY + timedelta(days=1))) == []


def test_a_night_shift_goes_past_midnight() -> None:
    night = {"ROOM1": room("ROOM1", hours={1: calendar.spans_of("20:00-02:00")})}
    held = book(devices=night)
    assert codes(held, visit(23 * 60 + 50)) == []
    assert codes(held, visit(25 * 60 + 40)) == []
    assert codes(held, visit(25 * 60 + 45)) == ["closed"]
    tuesday = replace(held, visits=[visit(23 * 60 + 50, "a")])
    assert codes(tuesday, visit(24 * 60)) == ["taken"]


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_days_with_a_clock_change(day: date) -> None:
    allday = {"ROOM1": room("ROOM1", hours={7: ((0, 24 * 60),)})}
    held = book(zone=BERLIN, devices=allday)
    early = visit(60, "a", day=day, zone=BERLIN, minutes=180)
    late = visit(12 * 60, "b", day=day, zone=BERLIN)
    assert codes(held, early) == codes(held, late) == []
    assert minute_of(day, late.start, BERLIN) == 12 * 60
    # three hours later the wall clock has moved by two or four
    hours = {3: 5, 10: 3}[day.month]
    assert minute_of(day, early.span.end, BERLIN) == hours * 60
    assert codes(replace(held, visits=[early]), visit(hours * 60, day=day, zone=BERLIN)) == []
    assert "taken" in codes(replace(held, visits=[early]), visit(hours * 60 - 5, day=day, zone=BERLIN))


@pytest.mark.parametrize("text", ["8-12", "08:00-25:00", "08:00-12:00,11:00-13:00", "24:00-25:00", "x"])
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        calendar.spans_of(text)


def test_hours_keep_their_text() -> None:
    for text in ("08:00-12:00,13:00-17:00", "20:00-02:00", "00:00-24:00", ""):
        assert calendar.text_of(calendar.spans_of(text)) == text


cards = st.lists(st.tuples(st.integers(0, 1435), st.integers(5, 180)), max_size=12)
blocks = st.lists(st.tuples(st.integers(0, 1400), st.integers(1, 400)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(cards, blocks, blocks)
def test_every_slot_of_a_sheet_is_covered_once(
    some: list[tuple[int, int]], opens: list[tuple[int, int]], closed: list[tuple[int, int]]
) -> None:
    column = sheet.Column(
        [sheet.Block(at, at + long) for at, long in opens],
        [sheet.Block(at, at + long, "why") for at, long in closed],
        [sheet.Card(at, long, index) for index, (at, long) in enumerate(some)],
    )
    table = sheet.table([column], 5)
    cells = [(index, cell) for index, row in enumerate(table.rows) for cell in row.cells]
    covered = [slot for index, cell in cells for slot in range(index, index + cell.rows)]
    assert covered == list(range(len(table.rows)))
    assert sorted(card.index for _index, cell in cells for card in cell.cards) == list(range(len(some)))
    assert sum(row.label for row in table.rows) == len(table.rows)


def test_the_forward_start_beats_first_come_and_keeps_the_rules() -> None:
    day = generate.day(1)
    jobs = {job.key: job for job in day.jobs}
    by_hand, ours = greedy.first_come(day), greedy.starts(day)[0]
    assert len(ours.places()) == len(by_hand.places()) == 60
    for result in (by_hand, ours):
        for one in result.places():
            result.take(one)
            assert result.fits(one)
            assert one.start in jobs[one.key].options[one.device]
            result.put(one)
    waits = [
        simulate.judge(result.places(), day.devices, day.beams, seed=9, runs=20).waiting
        for result in (by_hand, ours)
    ]
    assert waits[1] < 0.85 * waits[0]
