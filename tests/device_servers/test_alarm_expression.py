"""Expressions of alarm rules: what they mean, what is unknown, and what is refused."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadConfig
from device_servers.services.alarms.expression import Node, names, parse, parse_truth
from device_servers.services.alarms.inputs import Inputs, Sample, Words
from device_servers.services.alarms.program import Programs

pytestmark = pytest.mark.requirement("ACS-ALARM")

X, Y, S = "t/t/t/X", "t/t/t/Y", "t/t/t/State"
NAN = math.nan


def value(text: str, x: float = NAN, y: float = NAN, state: str = "UNKNOWN") -> float:
    return evaluated([parse(text)], x, y, state)[0]


def evaluated(nodes: list[Node], x: float, y: float, state: str = "UNKNOWN") -> list[float]:
    inputs, words = Inputs([X, Y, S]), Words()
    programs = Programs(nodes, inputs, words)
    word = words.number(state)
    numbers = np.array([x, y, NAN])
    known = np.isfinite(numbers) | (np.arange(3) == 2) & (word >= 0)
    inputs.take(
        Sample(
            np.arange(3),
            numbers,
            np.array([-1, -1, word], dtype=np.int32),
            np.where(known, 0, 1).astype(np.int32),
            np.zeros(3, dtype=bool),
            np.zeros(3),
        )
    )
    programs.run(np.arange(len(nodes)), inputs)
    return [float(programs.results[place]) for place in programs.place]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{X} + 2 * {Y} - 1", 10.0),
        (f"({X} + 2) * {Y}", 20.0),
        (f"-{X} / {Y}", -0.75),
        (f"abs({Y} - 10)", 6.0),
        (f"min({X}, {Y}, 1) + max({X}, 7)", 8.0),
        (f"{X}-1", 2.0),
        (f"'{X}' > 2 and not {Y} > 4", 1.0),
        (f"{X} == 3 or {Y} != 4", 1.0),
        (f"{X} >= 3.0 and {Y} <= 3.9", 0.0),
        (f"{S} == ON", 1.0),
        (f"{S} != ON", 0.0),
        (f"{S} != ''", 1.0),
        (f"{S} in (OFF, STANDBY)", 0.0),
        (f"not {S} in (OFF, STANDBY) and {X}", 1.0),
        (f"quality({X}) == VALID and unknown({X})", 0.0),
        ("1e3 > 5 and true", 1.0),
    ],
)
def test_expressions_mean_what_they_say(text: str, wanted: float) -> None:
    assert value(text, 3.0, 4.0, "ON") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{X} > 1", NAN),
        (f"{X} > 1 and {Y} > 5", 0.0),
        (f"{X} > 1 or {Y} > 3", 1.0),
        (f"{X} > 1 or {Y} > 5", NAN),
        (f"not {X} > 1", NAN),
        (f"{S} == ON", NAN),
        (f"unknown({X}) and unknown({S})", 1.0),
        (f"quality({X}) == INVALID", 1.0),
        (f"1 / ({Y} - 4)", NAN),
        (f"max({X}, 100) > 1", NAN),
    ],
)
def test_what_is_unknown_stays_unknown_unless_the_rest_decides(text: str, wanted: float) -> None:
    for nothing in (NAN, math.inf, -math.inf):
        for state in ("UNKNOWN", "GONE"):
            found = value(text, nothing, 4.0, state)
            assert found == wanted or (math.isnan(found) and math.isnan(wanted))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the end"),
        (f"{X} >", "the end"),
        (f"{X} > 1 > 0", "and b < c"),
        (f"{X} > ON", "words are compared"),
        ("ON", "stands alone"),
        (f"open({X})", "no function open"),
        (f"__import__('os').system('true') == {X}", "no function __import__"),
        (f"({X} > 1) + 1", "takes numbers"),
        (f"{X} > 1)", "')' at"),
        (f"abs({X}, {Y})", "argument"),
        (f"unknown({X} + 1)", "takes a device"),
        ("(" * 60 + X + ")" * 60, "nested deeper"),
        (f"{X} + {'1 + ' * 600} 1", "characters"),
        (f"{X} ; 1", "where"),
        (f"{X} < {S} == ON", "and b < c"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(BadConfig, match=r"\S") as caught:
        parse(text)
    assert words in str(caught.value)


def test_names_are_those_of_the_site() -> None:
    node = parse_truth(
        "ACS/Magnet/ring-quad-f/Current-5 > acs/vacuum/g.1/Pressure and acs/a/b/State in (ON, OFF)"
    )
    assert list(names(node)) == [
        "acs/magnet/ring-quad-f/Current",
        "acs/vacuum/g.1/Pressure",
        "acs/a/b/State",
        "acs/a/b/State",
    ]


numbers = st.one_of(st.floats(-100, 100), st.just(NAN))


@given(x=numbers, y=numbers)
def test_expressions_of_one_shape_are_evaluated_as_each_alone(x: float, y: float) -> None:
    texts = [f"{X} > {level} and abs({Y}) < {level}" for level in (-3, 0.5, 40)]
    texts += [f"{Y} > {level} and abs({X}) < {level}" for level in (-3, 0.5, 40)]
    together = evaluated([parse(text) for text in texts], x, y)
    alone = [value(text, x, y) for text in texts]
    assert np.array_equal(together, alone, equal_nan=True)


@given(st.text(max_size=60))
def test_no_text_makes_more_than_a_refusal(text: str) -> None:
    with suppress(BadConfig):
        parse(text)
