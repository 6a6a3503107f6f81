"""The order of the queue and the choice of the visit, pure: nobody starves, insertion works, it is stable."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from ois_bridge.domain.appointment_states import AppointmentState as S
from ois_bridge.domain.queue.choice import Answer, SignInRules, Visit, choose
from ois_bridge.domain.queue.masking import masked_name, spoken_name
from ois_bridge.domain.queue.order import (
    NUMBERS,
    Rule,
    Waiting,
    checked_rule,
    longest_overtaking_min,
    ordered,
)
from tests.ois_bridge.queue_case import at

pytestmark = pytest.mark.requirement("OIS-QUEUE")

NINE = at("09:00")
OTHERS = sorted(set(NUMBERS) - {"waited_min"})

minutes = st.integers(-120, 120)
people = st.lists(
    st.builds(
        lambda number, start, wait, passed, first: Waiting(
            f"k{number}",
            number,
            NINE + timedelta(minutes=start),
            NINE - timedelta(minutes=wait),
            passed=passed,
            passed_at=NINE - timedelta(minutes=1) if passed else None,
            facts={"first_visit": float(first)},
        ),
        st.integers(1, 10_000),
        minutes,
        st.integers(0, 120),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one.number,
)
rules = st.one_of(
    st.builds(Rule, grace_min=st.integers(0, 30), passed_min=st.integers(0, 30)),
    st.builds(
        lambda wait, more: Rule({"waited_min": wait, **more}),
        st.floats(0.1, 10),
        st.dictionaries(st.sampled_from(OTHERS), st.floats(-5, 5), max_size=4),
    ),
)


@settings(max_examples=60, deadline=None)
@given(people, rules)
def test_order_holds_everybody_once_and_is_stable(waiting: list[Waiting], rule: Rule) -> None:
    line = ordered(waiting, rule, NINE)
    assert sorted(one.number for one in line) == sorted(one.number for one in waiting)
    assert ordered(list(reversed(waiting)), rule, NINE) == line
    without = [one for one in waiting if one is not line[0]]
    assert ordered(without, rule, NINE) == line[1:], "who goes does not change the order of the others"


@settings(max_examples=60, deadline=None)
@given(people, rules, st.integers(0, 11))
def test_special_patient_goes_first_and_the_others_keep_their_order(
    waiting: list[Waiting], rule: Rule, place: int
) -> None:
    line = ordered(waiting, rule, NINE)
    chosen = line[place % len(line)]
    special = Waiting(chosen.key, chosen.number, chosen.start, chosen.signed_in, priority=1)
    rest = [one for one in line if one is not chosen]
    assert ordered([special, *rest], rule, NINE) == [special, *rest]


@settings(max_examples=60, deadline=None)
@given(people, rules)
def test_nobody_starves(waiting: list[Waiting], rule: Rule) -> None:
    """After the longest time of overtaking, nobody who comes now goes first, whoever they are."""
    later = NINE + timedelta(minutes=longest_overtaking_min(rule) + 241)
    facts = {
        name: high for name, (_low, high, _text) in NUMBERS.items() if name not in ("waited_min", "passed")
    }
    low = {name: low for name, (low, _high, _text) in NUMBERS.items() if name not in ("waited_min", "passed")}
    late = [
        Waiting("new1", 20_001, later - timedelta(minutes=rule.grace_min), later, facts=facts),
        Waiting("new2", 20_002, later, later, facts=low),
    ]
    line = ordered([*waiting, *late], rule, min(later, NINE + timedelta(minutes=1439)))
    if later <= NINE + timedelta(minutes=1300):
        assert {one.key for one in line[-2:]} == {"new1", "new2"}


def waiting(number: int, start: str, signed: str, **more: object) -> Waiting:
    return Waiting(f"k{number}", number, at(start), at(signed), **more)  # type: ignore[arg-type]


def test_late_comers_go_behind_and_early_ones_wait_for_their_time() -> None:
    in_time = waiting(1, "09:00", "08:50")
    little_late = waiting(2, "09:10", "09:20")
    late = waiting(3, "08:00", "09:05")
    early = waiting(4, "10:00", "08:00")
    passed = waiting(5, "08:30", "08:20", passed=1, passed_at=at("09:12"))
    line = ordered([early, late, passed, little_late, in_time], Rule(), at("09:21"))
    assert [one.number for one in line] == [1, 3, 2, 5, 4]


def test_own_rule_orders_by_its_weights() -> None:
    rule = checked_rule({"weights": {"waited_min": 1, "anaesthesia": 100}})
    plain = waiting(1, "09:00", "08:00")
    asleep = waiting(2, "09:00", "08:30", facts={"anaesthesia": 1.0})
    assert [one.number for one in ordered([plain, asleep], rule, at("09:00"))] == [2, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"weights": {"beauty": 1, "waited_min": 1}}, "beauty"),
        ({"weights": {"late_min": 1}}, "wait for ever"),
        ({"weights": {"waited_min": 1e9}}, "from"),
        ({"weights": {"waited_min": True}}, "from"),
        ({"weights": {"waited_min": "nan"}}, "from"),
        ({"weights": [1]}, "nothing else"),
        ({"grace_min": -1}, "grace_min"),
        ({"code": "import os"}, "nothing else"),
    ],
)
def test_rule_that_cannot_be_is_refused(content: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        checked_rule(content)


RULES = SignInRules(early=120, late=60, near=60)


def seen(*visits: Visit, now: str = "09:00", **more: object) -> tuple[Answer, str, list[str]]:
    choice = choose(visits, at(now), RULES, **more)  # type: ignore[arg-type]
    return choice.answer, choice.visit.key if choice.visit else "", [one.key for one in choice.others]


def booked(key: str, device: str, clock: str, state: S = S.BOOKED) -> Visit:
    return Visit(key, device, at(clock), state)


def test_nearest_visit_within_its_time() -> None:
    morning, evening = booked("am", "ROOM1", "09:30"), booked("pm", "ROOM1", "16:00")
    assert seen(morning, evening) == (Answer.TAKE, "am", [])
    done = booked("am", "ROOM1", "09:30", S.DONE)
    assert seen(done, evening, now="14:30") == (Answer.TAKE, "pm", [])
    assert seen(done, evening, now="10:00")[0:2] == (Answer.EARLY, "pm")
    assert seen(morning, now="07:00")[0:2] == (Answer.EARLY, "am")
    assert seen(morning, now="11:00")[0:2] == (Answer.LATE, "am")
    assert seen(morning, now="11:00", staff=True)[0:2] == (Answer.TAKE, "am")
    assert seen(done)[0:2] == (Answer.DONE, "am")
    assert seen() == (Answer.NONE, "", [])


def test_second_scan_changes_nothing() -> None:
    signed = booked("am", "ROOM1", "09:30", S.SIGNED_IN)
    assert seen(signed) == (Answer.ALREADY, "am", [])
    noon = booked("noon", "ROOM1", "10:30")
    assert seen(signed, noon) == (Answer.ALREADY, "am", []), "one visit to a device at a time"
    ct = booked("ct", "CT_SIM", "10:00")
    assert seen(signed, ct) == (Answer.ALREADY, "am", ["ct"])
    assert seen(signed, ct, wanted="ct")[0:2] == (Answer.TAKE, "ct")


def test_several_devices_are_asked_about_only_where_it_is_not_clear() -> None:
    ct, room = booked("ct", "CT_SIM", "09:20"), booked("rt", "ROOM1", "09:40")
    assert seen(ct, room) == (Answer.ASK, "", ["ct", "rt"])
    assert seen(ct, room, device="ROOM1")[0:2] == (Answer.TAKE, "rt")
    assert seen(ct, room, wanted="rt")[0:2] == (Answer.TAKE, "rt")
    later = booked("rt", "ROOM1", "10:50")
    assert seen(ct, later) == (Answer.TAKE, "ct", ["rt"])
    assert seen(ct, room, wanted="other")[0] is Answer.NONE


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张^伟", "张*"),
        ("Zhang^Xiaoming=张^小明", "张*明"),
        ("欧阳^明华", "欧**华"),
        ("买买提^·阿不都拉", "买***拉"),
        ("Smith^John", "J. S****"),
        ("Smith", "S****"),
        ("", "****"),
    ],
)
def test_names_are_masked(name: str, masked: str) -> None:
    assert masked_name(name) == masked


def test_spoken_name_has_no_star() -> None:
    assert spoken_name("张^小明") == "张某明"
