from pathlib import Path

import pytest
import z3

from common.errors import Refused
from treatment import diagram
from treatment.session import REPORTED, TABLE, Event, IllegalStep, State, advance, legal

REPO = Path(__file__).resolve().parents[2]

MARKS = {
    Event.LOAD_PLAN: "selected",
    Event.CONFIRM_IDENTITY: "identified",
    Event.POSITION: "positioned",
    Event.VERIFY_SETUP: "verified",
    Event.REQUEST_BEAM: "permitted",
}
"""What each step establishes."""
LOSES = {Event.POSITION: ("verified", "permitted"), Event.VERIFY_SETUP: ("permitted",)}
"""What a step takes back."""
FORGETS = (Event.TERMINATE, Event.UNLOAD)
NAMES = tuple(MARKS.values())


def follow(state, marks, event):
    """Marks after an event, as functions of the marks before; the model that the proof is about."""
    after = dict(marks)
    if event in FORGETS:
        return {name: z3.BoolVal(False) for name in NAMES}
    for name in LOSES.get(event, ()):
        after[name] = z3.BoolVal(False)
    if event in MARKS:
        after[MARKS[event]] = z3.BoolVal(True)
    return after


NEEDS = {
    State.LOADED: NAMES[:1],
    State.IDENTIFIED: NAMES[:2],
    State.POSITIONED: NAMES[:3],
    State.VERIFIED: NAMES[:4],
    State.READY: NAMES,
    State.IRRADIATING: NAMES,
    State.INTERRUPTED: NAMES,
    State.BEAM_DONE: NAMES,
    State.COMPLETE: NAMES,
}


def invariant(state, marks):
    return z3.And([marks[name] for name in NEEDS.get(state, ())])


@pytest.mark.requirement("TCS-WORKFLOW")
def test_irradiating_means_selected_identified_positioned_verified_and_permitted():
    """Inductive proof over the table: each transition keeps `NEEDS`, whatever the marks were before."""
    before = {name: z3.Bool(name) for name in NAMES}
    for state, row in TABLE.items():
        for event, after in row.items():
            solver = z3.Solver()
            solver.add(invariant(state, before), z3.Not(invariant(after, follow(state, before, event))))
            assert solver.check() == z3.unsat, f"{state} -{event}-> {after}: {solver.model()}"
    idle = {name: z3.BoolVal(False) for name in NAMES}
    assert z3.simplify(invariant(State.IDLE, idle)) == z3.BoolVal(True)


def reachable(start, banned=()):
    seen, todo = {start}, [start]
    while todo:
        for after in TABLE[todo.pop()].values():
            if after not in seen and after not in banned:
                seen.add(after)
                todo.append(after)
    return seen


@pytest.mark.requirement("TCS-WORKFLOW")
@pytest.mark.parametrize(
    "gate", [State.LOADED, State.IDENTIFIED, State.POSITIONED, State.VERIFIED, State.READY]
)
def test_no_beam_past_any_gate(gate):
    assert State.IRRADIATING in reachable(State.IDLE)
    assert State.IRRADIATING not in reachable(State.IDLE, banned=(gate,))


@pytest.mark.requirement("TCS-IRRADIATE")
def test_after_termination_everything_is_selected_anew():
    assert set(legal(State.TERMINATED)) == {Event.SUBMIT_RECORD}
    assert State.IRRADIATING not in reachable(State.TERMINATED, banned=(State.IDLE,))
    assert State.IRRADIATING not in reachable(State.FAULT, banned=(State.IDLE,))
    for gate in (State.LOADED, State.IDENTIFIED, State.POSITIONED, State.VERIFIED, State.READY):
        assert State.IRRADIATING not in reachable(State.TERMINATED, banned=(gate,))


@pytest.mark.requirement("TCS-EMERGENCY")
def test_beam_and_every_selected_state_can_be_terminated():
    done = {State.IDLE, State.COMPLETE, State.TERMINATED, State.RECORDED}
    for state in set(State) - done:
        assert advance(state, Event.TERMINATE) is State.TERMINATED
    assert advance(State.IRRADIATING, Event.INTERRUPT) is State.INTERRUPTED
    assert advance(State.IRRADIATING, Event.TRIP) is State.INTERRUPTED


def test_no_state_is_a_dead_end_and_none_is_unreachable():
    assert reachable(State.IDLE) == set(State)
    for state in State:
        assert State.IDLE in reachable(state)
        assert any(event not in REPORTED for event in TABLE[state])


@pytest.mark.requirement("TCS-WORKFLOW")
def test_every_other_pair_is_refused_by_name():
    refused = 0
    for state in State:
        for event in Event:
            if event in TABLE[state]:
                continue
            with pytest.raises(IllegalStep, match=f"{event} is not allowed in state {state}") as caught:
                advance(state, event)
            assert isinstance(caught.value, Refused)
            assert (caught.value.state, caught.value.event) == (state, event)
            refused += 1
    assert refused == len(State) * len(Event) - sum(len(row) for row in TABLE.values())


def test_reference_page_is_the_table():
    page = (REPO / "docs" / "reference" / "session.md").read_text(encoding="utf-8")
    assert page == diagram.page(), "run: python -m treatment.diagram"
