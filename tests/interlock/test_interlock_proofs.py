"""Proofs on the site's table, mutants that they must catch, and the implementation against them."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

z3 = pytest.importorskip("z3", reason="extra `proofs` is not installed")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from common import site  # noqa: E402
from common.errors import Refused  # noqa: E402
from interlock import beam_off, engine, latch, masks, proofs, rules  # noqa: E402
from interlock.beam_off import OffEvent, OffState  # noqa: E402
from interlock.latch import Interlock  # noqa: E402
from interlock.matrix import Family, Input, Latch, Matrix, load  # noqa: E402
from tests.interlock.site_tables import BOTH, table  # noqa: E402

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

MATRIX = load(site.load().interlock_path)
ENCODING = proofs.Encoding(MATRIX)
NAMES = MATRIX.input_names


def broken(matrix: Matrix) -> set[str]:
    return {proof.name for proof in proofs.prove(matrix) if not proof.holds}


@pytest.mark.parametrize("name", BOTH)
def test_every_property_holds_on_every_sites_table(name: str) -> None:
    results = proofs.prove(table(name))
    wanted = [statement.__name__ for statement in proofs.PROPERTIES]
    assert [proof.name for proof in results] == [*wanted, *(walk.__name__ for walk in proofs.WALKS)]
    assert [proof for proof in results if not proof.holds] == []


def changed(name: str, **changes: Any) -> Matrix:
    rows = tuple(replace(row, **changes) if row.name == name else row for row in MATRIX.inputs)
    return replace(MATRIX, inputs=rows)


@pytest.mark.parametrize(
    ("matrix", "caught"),
    [
        (changed("spot.size", cuts=frozenset({"room1"})), "faults_stop_the_beam"),
        (changed("emergency_stop", cuts=frozenset()), "faults_stop_the_beam"),
        (
            replace(changed("room1.door", maskable=True), unmaskable=frozenset({Family.PATIENT})),
            "nothing_forbidden_is_masked",  # even where no role has the right to use it
        ),
        (
            replace(
                changed("room1.door", maskable=True),
                unmaskable=frozenset(),
                mask_roles={Family.PERSONNEL: frozenset({"service"})},
            ),
            "nothing_forbidden_is_masked",
        ),
    ],
)
def test_a_table_that_was_tampered_with_is_caught(matrix: Matrix, caught: str) -> None:
    assert broken(matrix) == {caught}


def no_latch(rows: Any, state: Any, good: Any, overdue: Any, either: Any) -> rules.State:
    return ADVANCE(rows, state, good, overdue, either)._replace(latched=state.latched)


def forgetful(rows: Any, state: Any, good: Any, overdue: Any, either: Any) -> rules.State:
    after = ADVANCE(rows, state, good, overdue, either)
    return after._replace(latched=after.latched & ~good)


def clinical_masks(rows: Any, state: Any, good: Any, overdue: Any, either: Any) -> rules.State:
    return ADVANCE(rows, state, good, overdue, either)._replace(masked=state.masked & rows.maskable)


def unarmed(rows: Any, state: Any, good: Any, overdue: Any, either: Any) -> rules.State:
    return ADVANCE(rows, state._replace(armed=0 * state.armed), good, overdue, either)


ADVANCE = rules.advance
MUTANTS: list[tuple[str, Callable[..., Any], str]] = [
    ("advance", no_latch, "latches_hold"),
    ("advance", forgetful, "latches_hold"),
    ("advance", unarmed, "latches_hold"),
    ("advance", clinical_masks, "nothing_forbidden_is_masked"),
    ("blocking", lambda r, s, good: ~good & ~s.masked & r.full, "permit_needs_good_inputs"),
    ("blocking", lambda r, s, good: s.latched & ~s.masked, "permit_needs_good_inputs"),
    ("blocking", lambda r, s, good: (~good | s.latched) & r.full, None),  # stricter: nothing to catch
    ("blocking", lambda r, s, good: s.latched | good | ~good, "permit_follows_from_good_inputs"),
    ("clearable", lambda s, good, may: s.latched & may, "reset_needs_cause_gone_and_authority"),
    ("clearable", lambda s, good, may: s.latched & good, "reset_needs_cause_gone_and_authority"),
    ("may_be_masked", lambda r, good, may, either: r.maskable & may, "nothing_forbidden_is_masked"),
    (
        "may_be_masked",
        lambda r, good, may, either: either(good & r.key, may, 0),
        "nothing_forbidden_is_masked",
    ),
]


@pytest.mark.parametrize(("rule", "mutant", "caught"), MUTANTS)
def test_a_mutated_rule_is_caught(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Callable[..., Any], caught: str | None
) -> None:
    monkeypatch.setattr(rules, rule, mutant)
    found = broken(MATRIX)
    assert (caught in found) if caught else (found == set())


def isolated_by_unknown(rows: Any, state: Any, good: Any, either: Any) -> Any:
    return good * 0 | sum(room for _key, room in rows.rooms)


def isolated_though_latched(rows: Any, state: Any, good: Any, either: Any) -> Any:
    return ISOLATED(rows, state._replace(latched=0 * state.latched), good, either)


def undisturbed(rows: Any, state: Any, good: Any, overdue: Any, either: Any) -> rules.State:
    return ADVANCE(rows, state, good, 0 * overdue, either)


ISOLATED = rules.isolated


@pytest.mark.parametrize(
    ("rule", "mutant", "caught"),
    [
        ("isolated", isolated_by_unknown, "isolation_is_never_granted_by_unknown"),
        ("isolated", isolated_though_latched, "isolation_is_never_granted_by_unknown"),
        ("isolated", isolated_by_unknown, "permit_needs_good_inputs"),
        ("advance", undisturbed, "discrepancies_latch"),
        ("agreed", lambda rows, first, second: first | second, "discrepancies_latch"),
        ("differing", lambda rows, first, second: first ^ second, "discrepancies_latch"),
        ("held_off", lambda every, untested, late, either: late, "no_permit_without_a_valid_self_test"),
        (
            "held_off",
            lambda every, untested, late, either: either(untested, every, 0),
            "an_output_that_is_held_has_no_permit",
        ),
        (
            "cutting",
            lambda rows, stops, spared, k: stops & rows.bound[k],
            "each_cause_alone_gives_exactly_the_tables_effects",
        ),
    ],
)
def test_a_mutated_rule_of_rooms_pairs_and_tests_is_caught(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Callable[..., Any], caught: str
) -> None:
    monkeypatch.setattr(rules, rule, mutant)
    assert caught in broken(table("features"))


@pytest.mark.parametrize(
    ("what", "after"),
    [(OffEvent.LAST_LATE, OffState.OFF), (OffEvent.LATE, OffState.OFF), (OffEvent.LATE, OffState.HELD)],
)
def test_an_escalation_that_ends_elsewhere_is_caught(
    monkeypatch: pytest.MonkeyPatch, what: OffEvent, after: OffState
) -> None:
    changed = {**beam_off.TABLE[OffState.AWAITING], what: after}
    monkeypatch.setattr(beam_off, "TABLE", {**beam_off.TABLE, OffState.AWAITING: changed})
    assert broken(table("features")) == {"escalation_ends_with_every_output_down"}


VALUES = st.sampled_from([True, True, True, True, False, None])
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),  # what differs from all good
        st.booleans(),  # whether everything else is good or missing
        st.one_of(
            st.none(),
            st.tuples(st.just("reset"), st.sampled_from(["therapist", "operator", "service", "physicist"])),
            st.tuples(st.just("mask"), st.sampled_from(NAMES)),
            st.tuples(st.just("unmask"), st.sampled_from(NAMES)),
        ),
    ),
    max_size=12,
)


def bits(names: Any) -> int:
    return sum(1 << NAMES.index(name) for name in names)


def follows(steps: list[Any]) -> None:
    """Permits, latches and masks of a story are those of the z3 encoding."""
    interlock = Interlock(MATRIX)
    state = rules.State(0, 0, 0)
    ends: dict[str, int] = {}
    for tick, (odd, calm, act) in enumerate(steps, start=1):
        base: dict[str, bool | None] = dict.fromkeys(NAMES, True) if calm else {"mode.service": True}
        inputs = {**base, **odd}
        good = bits(name for name in NAMES if inputs.get(name) is True)
        state = state._replace(masked=bits(name for name, end in ends.items() if end > tick))
        state, permits = ENCODING.evaluate(good, state)
        ends = {name: end for name, end in ends.items() if state.masked & bits([name])}
        outputs = interlock.step(tick, inputs)
        assert dict(outputs.permits) == permits
        assert bits(outputs.tripped) == state.latched
        assert bits(n for n, s in interlock.states().items() if s.masked) == state.masked
        if act is not None:
            state = apply(interlock, act, inputs, state, ends, tick)


def apply(
    interlock: Interlock,
    act: tuple[str, str],
    inputs: dict[str, bool | None],
    state: rules.State,
    ends: dict[str, int],
    tick: int,
) -> rules.State:
    """Do what a person does; the expected outcome is worked out from the table's rows alone."""
    what, word = act
    try:
        if what == "reset":
            expected = {
                row.name
                for row in MATRIX.inputs
                if state.latched & bits([row.name])
                and inputs.get(row.name) is True
                and word in MATRIX.reset_roles[row.family]
            }
            assert set(interlock.reset("u", [word], inputs).inputs) == expected
            return state._replace(latched=state.latched & ~bits(expected))
        if what == "mask":
            interlock.mask(word, "u", ["service"], "test", tick + 4)
            row = MATRIX.input(word)
            assert row.maskable
            assert row.family is Family.EQUIPMENT
            assert inputs.get("mode.service") is True
            ends[word] = tick + 4
            return state
        interlock.unmask(word, "u", [])
        del ends[word]
    except Refused:
        pass
    return state


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_implementation_follows_the_encoding(steps: list[Any]) -> None:
    """Random inputs, resets and masks."""
    follows(steps)


CLINICAL = {"mode.service": False}
STORIES: dict[str, list[Any]] = {
    "a cause comes and goes": [({}, True, None), ({"spot.size": False}, True, None), ({}, True, None)],
    "request and cause end together": [
        ({}, True, None),
        ({"session.request": False, "couch": None}, True, None),
        ({}, True, None),
    ],
    "reset by the wrong role": [({"spot.size": False}, True, None), ({}, True, ("reset", "operator"))],
    "reset with the cause there": [({"rf": False}, True, ("reset", "service")), ({}, True, None)],
    "mask in clinical mode": [(CLINICAL, True, ("mask", "water")), ({"water": False}, True, None)],
    "mask on a forbidden input": [({}, True, ("mask", "room1.door")), ({"room1.door": False}, True, None)],
    "mask in service mode": [
        ({}, True, ("mask", "water")),
        ({"water": False}, True, ("unmask", "water")),
        ({"water": False}, True, ("reset", "service")),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_implementation_follows_the_encoding_in_known_cases(story: list[Any]) -> None:
    follows(story)


@pytest.mark.parametrize(
    ("module", "name", "mutant"),
    [
        (engine, "advance", forgetful),
        (engine, "advance", no_latch),
        (engine, "advance", unarmed),
        (latch, "clearable", lambda state, good, may: state.latched & good),
        (latch, "clearable", lambda state, good, may: state.latched & may),
        (masks, "may_be_masked", lambda r, good, may, either: r.full),
        (masks, "may_be_masked", lambda r, good, may, either: r.maskable & may),
    ],
)
def test_an_implementation_with_a_broken_rule_differs_from_the_encoding(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, mutant: Callable[..., Any]
) -> None:
    """The comparison is sharp: some known case tells the mutant from the encoding."""
    monkeypatch.setattr(module, name, mutant)
    wrong = []
    for title, story in STORIES.items():
        try:
            follows(story)
        except AssertionError:
            wrong.append(title)
    assert wrong


def test_a_family_without_reset_right_stays_latched() -> None:
    rows: tuple[Input, ...] = tuple(r for r in MATRIX.inputs if r.latch is Latch.ALWAYS)
    assert rows
    nobody = replace(MATRIX, reset_roles={})
    assert broken(nobody) == set()
    interlock = Interlock(nobody)
    interlock.step(1, {})
    with pytest.raises(Refused):
        interlock.reset("sam", ["service"], dict.fromkeys(NAMES, True))
