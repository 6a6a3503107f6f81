"""The interlock in operation, cause by cause."""

import pytest

from common import site
from common.clock import ticks
from common.errors import Refused, Unauthorised
from interlock.latch import FirstFault, Interlock
from interlock.matrix import Input, Kind, Latch, Matrix, load

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

MATRIX = load(site.load().interlock_path)
GOOD: dict[str, bool | None] = dict.fromkeys(MATRIX.input_names, True)
IDLE = {**GOOD, "session.request": False}
BAD_VALUES: tuple[object, ...] = (False, None, 1, "good", "missing")


def with_bad(name: str, value: object = False, base: dict[str, bool | None] = GOOD) -> dict[str, bool | None]:
    inputs = dict(base)
    if value == "missing":
        del inputs[name]
    else:
        inputs[name] = value  # type: ignore[assignment]
    return inputs


@pytest.fixture
def interlock() -> Interlock:
    return Interlock(MATRIX)


def test_everything_good_gives_every_permit(interlock: Interlock) -> None:
    outputs = interlock.step(1, GOOD)
    assert outputs.permits == dict.fromkeys(MATRIX.output_names, True)
    assert (outputs.tripped, outputs.first_fault, outputs.blocking) == ((), None, ())


def test_nothing_known_gives_no_permit(interlock: Interlock) -> None:
    outputs = interlock.step(1, {})
    assert not any(outputs.permits.values())
    assert set(outputs.blocking) == set(MATRIX.input_names)


@pytest.mark.parametrize("row", MATRIX.inputs, ids=lambda row: row.name)
@pytest.mark.parametrize("value", BAD_VALUES, ids=str)
def test_each_cause_alone_gives_exactly_its_effects(row: Input, value: object) -> None:
    """Bad, None, missing and not-quite-True all cut the row's outputs, and latch as the row says."""
    interlock = Interlock(MATRIX)
    interlock.step(1, GOOD)
    outputs = interlock.step(2, with_bad(row.name, value))
    assert {name for name, given in outputs.permits.items() if not given} == row.cuts
    latches = row.latch is not Latch.NEVER
    assert outputs.tripped == ((row.name,) if latches else ())
    assert outputs.first_fault == (FirstFault(row.name, 2) if latches else None)
    again = interlock.step(3, GOOD)
    assert {name for name, given in again.permits.items() if not given} == (row.cuts if latches else set())


@pytest.mark.parametrize(
    "row", [row for row in MATRIX.inputs if row.kind is Kind.FAULT], ids=lambda r: r.name
)
def test_without_a_request_only_the_always_latched_stay(row: Input) -> None:
    interlock = Interlock(MATRIX)
    interlock.step(1, IDLE)
    assert not any(interlock.step(2, with_bad(row.name, base=IDLE)).permits[out] for out in row.cuts)
    assert interlock.step(3, IDLE).tripped == ((row.name,) if row.latch is Latch.ALWAYS else ())


def test_request_and_cause_lost_on_one_tick_still_latches(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    outputs = interlock.step(2, with_bad("watchdog.session", base=IDLE))
    assert outputs.tripped == ("watchdog.session",)


def test_first_fault_keeps_its_tick_and_what_came_with_it(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    two = {**GOOD, "rf": False, "spot.position": None}
    outputs = interlock.step(5, two)
    assert outputs.first_fault == FirstFault("spot.position", 5, ("rf",))
    outputs = interlock.step(9, {**two, "vacuum": False})
    assert outputs.first_fault == FirstFault("spot.position", 5, ("rf",))
    assert set(outputs.tripped) == {"spot.position", "rf", "vacuum"}


def test_unknown_names_and_ticks_running_backwards(interlock: Interlock) -> None:
    interlock.step(7, GOOD)
    outputs = interlock.step(8, {**GOOD, "invented": True})
    assert not any(outputs.permits.values())
    assert outputs.blocking == ("invented",)
    assert all(interlock.step(8, GOOD).permits.values())
    with pytest.raises(ValueError, match="never run backwards"):
        interlock.step(7, GOOD)


def test_reset_needs_the_cause_gone(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    bad = with_bad("spot.size")
    interlock.step(2, bad)
    with pytest.raises(Refused, match=r"cause is still there for spot\.size"):
        interlock.reset("tom", ["therapist"], bad)
    assert interlock.step(3, GOOD).tripped == ("spot.size",)
    entry = interlock.reset("tom", ["therapist"], GOOD)
    assert (entry.action, entry.user, entry.inputs, entry.tick) == ("reset", "tom", ("spot.size",), 3)
    assert entry.as_dict()["roles"] == ("therapist",)
    outputs = interlock.step(4, GOOD)
    assert all(outputs.permits.values())
    assert outputs.first_fault is None


@pytest.mark.parametrize(
    "row", [r for r in MATRIX.inputs if r.latch is not Latch.NEVER], ids=lambda r: r.name
)
@pytest.mark.parametrize(
    "role", ["operator", "physicist", "physician", "therapist", "service", "administrator"]
)
def test_reset_needs_a_role_of_the_family(row: Input, role: str) -> None:
    interlock = Interlock(MATRIX)
    interlock.step(1, GOOD)
    interlock.step(2, with_bad(row.name))
    if role in MATRIX.reset_roles[row.family]:
        assert interlock.reset("somebody", [role], GOOD).inputs == (row.name,)
        assert all(interlock.step(3, GOOD).permits.values())
    else:
        with pytest.raises(Unauthorised, match=row.name):
            interlock.reset("somebody", [role], GOOD)
        assert interlock.step(3, GOOD).tripped == (row.name,)


def test_reset_clears_what_it_may_and_leaves_the_rest(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    interlock.step(2, {**GOOD, "rf": False, "spot.size": False, "vacuum": False})
    entry = interlock.reset("olga", ["operator"], with_bad("vacuum"))
    assert entry.inputs == ("rf",)
    outputs = interlock.step(3, with_bad("vacuum"))
    assert set(outputs.tripped) == {"spot.size", "vacuum"}
    assert (
        outputs.first_fault == FirstFault("spot.size", 2, ("vacuum", "rf")) or outputs.first_fault is not None
    )


def test_mask_lets_a_bad_input_pass_until_its_tick(interlock: Interlock) -> None:
    bad = with_bad("water")
    interlock.step(1, bad)
    interlock.step(1, GOOD)
    interlock.reset("sam", ["service"], GOOD)
    entry = interlock.mask("water", "sam", ["service"], " flow meter exchanged ", 100)
    assert (entry.inputs, entry.reason, entry.until_tick) == (("water",), "flow meter exchanged", 100)
    outputs = interlock.step(99, bad)
    assert all(outputs.permits.values())
    assert interlock.states()["water"].masked
    outputs = interlock.step(100, bad)
    assert not outputs.permits["extraction"]
    assert [(note.action, note.inputs) for note in outputs.notes] == [("expired", ("water",))]
    assert outputs.tripped == ("water",)
    assert interlock.step(101, bad).notes == ()


def test_masks_are_void_as_soon_as_the_key_is_turned(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    interlock.mask("water", "sam", ["service"], "test", 1000)
    clinical = with_bad("mode.service", None)
    outputs = interlock.step(2, {**clinical, "water": False})
    assert not outputs.permits["extraction"]
    assert [note.action for note in outputs.notes] == ["void"]
    assert not interlock.states()["water"].masked
    assert not interlock.step(3, with_bad("water")).permits["extraction"]


@pytest.mark.parametrize(
    ("name", "roles", "reason", "until", "service", "error", "words"),
    [
        ("emergency_stop", ["service"], "x", 50, True, Refused, "never masked"),
        ("spot.position", ["service", "therapist"], "x", 50, True, Refused, "never masked"),
        ("session.request", ["service"], "x", 50, True, Refused, "never masked"),
        ("water", ["service"], "x", 50, False, Refused, "service mode only"),
        ("water", ["operator"], "x", 50, True, Unauthorised, "allowed are service"),
        ("water", [], "x", 50, True, Unauthorised, "allowed are service"),
        ("water", ["service"], "   ", 50, True, Refused, "needs a reason"),
        ("water", ["service"], "x", 10, True, Refused, "allowed are 11 to"),
        ("water", ["service"], "x", 11 + ticks(28800), True, Refused, "allowed are 11 to"),
        ("invented", ["service"], "x", 50, True, Refused, "no interlock input invented"),
    ],
)
def test_masks_that_are_refused(
    interlock: Interlock,
    name: str,
    roles: list[str],
    reason: str,
    until: int,
    service: bool,
    error: type[Refused],
    words: str,
) -> None:
    interlock.step(10, GOOD if service else with_bad("mode.service"))
    with pytest.raises(error, match=words):
        interlock.mask(name, "somebody", roles, reason, until)
    assert not any(state.masked for state in interlock.states().values())


def test_mask_before_the_first_step_is_refused(interlock: Interlock) -> None:
    with pytest.raises(Refused, match="service mode only"):
        interlock.mask("water", "sam", ["service"], "x", 5)


def test_unmask_is_open_to_everybody(interlock: Interlock) -> None:
    interlock.step(1, GOOD)
    interlock.mask("water", "sam", ["service"], "test", 1000)
    assert interlock.unmask("water", "olga", []).inputs == ("water",)
    assert not interlock.step(2, with_bad("water")).permits["extraction"]
    with pytest.raises(Refused, match="is not masked"):
        interlock.unmask("water", "olga", [])


def test_states_tell_bad_from_unknown(interlock: Interlock) -> None:
    interlock.step(1, {**with_bad("rf"), "water": None})
    states = interlock.states()
    assert (states["rf"].ok, states["rf"].latched) == (False, True)
    assert (states["water"].ok, states["water"].latched) == (None, True)
    assert (states["vacuum"].ok, states["vacuum"].latched) == (True, False)


def test_large_table_is_judged(interlock: Interlock) -> None:
    """512 rows by 16 outputs, the last row bad: exactly its outputs go."""
    from dataclasses import replace

    row, column = MATRIX.input("rf"), MATRIX.outputs[0]
    outputs = (*MATRIX.outputs, *(replace(column, name=f"out{n}") for n in range(12)))
    rows = tuple(
        replace(row, name=f"row{n}", cuts=frozenset({"extraction", f"out{n % 12}"}))
        for n in range(512 - len(MATRIX.inputs))
    )
    large: Matrix = replace(MATRIX, outputs=outputs, inputs=(*MATRIX.inputs, *rows))
    assert (len(large.inputs), len(large.outputs)) == (512, 16)
    inputs: dict[str, bool | None] = dict.fromkeys(large.input_names, True)
    big = Interlock(large)
    assert all(big.step(1, inputs).permits.values())
    last = len(rows) - 1
    permits = big.step(2, {**inputs, f"row{last}": False}).permits
    assert [name for name, given in permits.items() if not given] == ["extraction", f"out{last % 12}"]
