"""The generated Structured Text, parsed by a parser that is not ours, does what the interlock does."""

import subprocess
import sys
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache
from random import Random

import pytest

pytest.importorskip("blark", reason="blark is not installed")

from common.errors import Refused
from interlock import st
from interlock.bits import Value
from interlock.latch import Interlock
from interlock.matrix import Family, Matrix
from tests.conftest import REPOSITORY
from tests.interlock.site_tables import BOTH, PATHS, table
from tests.interlock.structured_text import FunctionBlock

pytestmark = pytest.mark.requirement("ACS-INTERLOCK")

STEPS = 2500
ROLES = ("therapist", "operator", "service", "physicist")


class Twins:
    """The interlock and the function block, given the same at every step."""

    def __init__(self, matrix: Matrix, block: FunctionBlock, seed: int) -> None:
        self.matrix, self.dice = matrix, Random(seed)
        self.names = st.Block(matrix)
        self.block = block
        self.interlock = Interlock(matrix)
        self.tick = 0
        self.calm: dict[str, Value] = {
            row.name: (True, True) if row.paired else True for row in matrix.inputs
        }
        self.inputs = dict(self.calm)
        self.confirmed = {stage.confirm: True for stage in matrix.beam_off}
        self.masks: dict[str, int] = {}
        self.permitted = 0
        self.kinds: set[str] = set()
        self.maskable = [row.name for row in matrix.inputs if self.names.maskable(row)]

    def draw(self) -> None:
        """Inputs of the next step: mostly good, some bad, unknown or apart; time goes on."""
        if self.dice.random() < 0.35:
            self.inputs = dict(self.calm)
        for _count in range(self.dice.choice([0, 1, 1, 2])):
            row = self.dice.choice(self.matrix.inputs)
            one, two = (self.dice.choice([True, True, False, None]) for _channel in range(2))
            self.inputs[row.name] = (one, two) if row.paired else one
        if self.masks and self.dice.random() < 0.3:  # the key is turned while a mask hides a fault
            name, key = self.dice.choice(list(self.masks)), self.matrix.service_key
            for bad in (name, key):
                self.inputs[bad] = (False, False) if bad in self.matrix.pairs else False
        for name in self.confirmed:
            self.confirmed[name] = self.dice.random() < 0.8
        self.tick += self.dice.choice([1, 3, 20_011, 1_000_003, 2_500_009, 70_000_027])

    def act(self) -> set[str]:
        """Somebody masks, or resets; the families that may be reset by who resets."""
        record = self.interlock.self_tested
        if self.matrix.self_test_ticks and not (record and record.valid(self.tick + 10**9)):
            with suppress(Refused):
                self.interlock.self_test("somebody", ["service"])
        if self.maskable and self.dice.random() < 0.3:
            name = self.dice.choice(self.maskable)
            until = self.tick + self.dice.choice([10, 50_000_000])
            with suppress(Refused):
                self.interlock.mask(name, "somebody", ["service"], "a reason", until)
                self.masks[name] = until
                self.kinds.add("mask")
        if self.dice.random() < 0.5:
            return set()
        role = self.dice.choice(ROLES)
        with suppress(Refused):
            self.interlock.reset("somebody", [role], self.inputs)
        return {str(family) for family, roles in self.matrix.reset_roles.items() if role in roles}

    def step(self, families: set[str]) -> None:
        """One step of both, and what they say compared."""
        seen = self.interlock.step(self.tick, self.inputs, self.confirmed)
        memory = self.block.memory
        memory.update(self.scan_inputs(families))
        self.block(self.tick)
        given = {name: memory[self.names.permit(name)] for name in self.matrix.output_names}
        assert given == dict(seen.permits), self.tick
        assert memory["tripped"] == bool(seen.tripped)
        first = seen.first_fault
        assert memory["first_fault"] == (self.matrix.input_names.index(first.input) + 1 if first else 0)
        self.permitted += all(given.values())
        self.kinds.add(str(self.interlock.switching_off.state))
        states = self.interlock.states()
        self.masks = {name: end for name, end in self.masks.items() if states[name].masked}

    def scan_inputs(self, families: set[str]) -> dict[str, bool]:
        """The function block's inputs; a mask is asked for until its time is over."""
        given: dict[str, bool] = {}
        for row in self.matrix.inputs:
            value = self.inputs[row.name]
            values = value if isinstance(value, tuple) else (value,)
            names = self.names.channels(row)
            given.update((name, one is True) for name, one in zip(names, values, strict=True))
        for name in self.maskable:
            given[self.names.mask(self.matrix.input(name))] = self.masks.get(name, 0) > self.tick
        given.update((self.names.reset(family), family in families) for family in Family)
        for level, stage in enumerate(self.matrix.beam_off):
            given[self.names.confirm(level)] = self.confirmed[stage.confirm]
        if self.matrix.self_test_ticks:
            record = self.interlock.self_tested
            given["self_tested"] = record is not None and record.valid(self.tick)
        assert set(given) == set(self.block.inputs)
        return given

    def run(self, steps: int) -> None:
        """A start without a request, so that a self-test is possible, then random steps and acts."""
        self.inputs.update(dict.fromkeys(self.matrix.arming, False))
        for _number in range(steps // 2):
            self.step(set())
            self.step(self.act())
            self.draw()


@cache
def parsed(name: str) -> FunctionBlock:
    return FunctionBlock(st.text(table(name)))


def fresh(name: str) -> FunctionBlock:
    """An instance of its own: parsed once, memory copied."""
    block = copy(parsed(name))
    block.memory = deepcopy(block.memory)
    return block


def large(name: str) -> bool:
    """Whether blark needs a minute for it."""
    return len(table(name).inputs) > 100


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if large(name) else []) for name in BOTH]
)
def test_function_block_does_what_the_interlock_does(name: str) -> None:
    matrix = table(name)
    twins = Twins(matrix, fresh(name), seed=5)
    twins.run(STEPS)
    assert twins.permitted > 100
    if twins.maskable:
        assert "mask" in twins.kinds
    if matrix.beam_off:
        assert {"READY", "AWAITING", "HELD"} <= twins.kinds


@pytest.mark.parametrize(
    ("constant", "value"),
    [("latching", 0), ("own", 0), ("cuts", 1), ("limit", 10**9), ("paired", False), ("held", 0), ("room", 0)],
)
def test_a_function_block_with_a_wrong_constant_is_told_apart(constant: str, value: int) -> None:
    block = fresh("features")
    block.memory[constant] = dict.fromkeys(block.memory[constant], value)
    with pytest.raises(AssertionError):
        Twins(table("features"), block, seed=5).run(STEPS)


def test_a_function_block_with_masks_in_clinical_mode_is_told_apart() -> None:
    right = st.text(table("features"))
    wrong = right.replace("AND mask[i] AND service", "AND mask[i]")
    assert wrong != right
    with pytest.raises(AssertionError):
        Twins(table("features"), FunctionBlock(wrong), seed=5).run(STEPS)


def test_identifiers_are_legal_and_differ() -> None:
    matrix = table("features")
    rows = tuple(replace(matrix.inputs[0], name=name) for name in ("a.b", "a-b", "a_b", "a..b_", "a"))
    names = [st.Block(replace(matrix, inputs=rows)).channels(row)[0] for row in rows]
    assert names == ["in_a_b", "in_a_b_2", "in_a_b_3", "in_a_b_4", "in_a"]


def test_text_in_the_documentation_is_of_the_demonstration() -> None:
    """After a change of the table: python -m interlock st config/interlock.yaml > FILE."""
    command = [sys.executable, "-m", "interlock", "st", str(PATHS["demo"])]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    shown = (REPOSITORY / "docs" / "reference" / "interlock-demo.st").read_text(encoding="utf-8")
    assert done.stdout == shown
