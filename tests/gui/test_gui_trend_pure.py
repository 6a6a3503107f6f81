"""Samples, curves and pace of a trend against plain computations; acts that the strip of control offers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput, Refused
from device_servers.services.control.table import TABLE, Event, State
from gui.viewmodels import settings as words
from gui.viewmodels.control import acts, area_text
from gui.viewmodels.pace import Pace
from gui.viewmodels.pictures import Past, at, curve, past, picture
from gui.viewmodels.traces import Traces
from gui.viewmodels.trend import MOST, Sets, Trend, as_json, fitting, from_json

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

NAMES = ("a/b/c/One", "a/b/c/Two", "a/b/c/Three")
EMPTY = np.empty(0)


def answer(width: float, times: list[float], values: list[float], **more: Any) -> Past:
    told = {
        "start": 0.0,
        "end": 100.0,
        "width": width,
        "before": None,
        "time": times,
        "count": [1] * len(times),
        "minimum": [None if math.isnan(value) else value - 1.0 for value in values],
        "mean": values,
        "maximum": [value + 1.0 for value in values],
        "last": values,
    }
    return past(told | more)


@given(st.lists(st.lists(st.integers(0, 2), max_size=9), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_rings_hold_the_newest_samples_of_each_attribute(blocks: list[list[int]]) -> None:
    traces, clock = Traces(ring=8), 0.0
    kept: dict[int, list[tuple[float, float]]] = {0: [], 2: []}
    traces.choose([NAMES[2], NAMES[0]], now=0.0)
    for block in blocks:
        rows = []
        for channel in block:
            clock += 1.0
            rows.append((clock, channel, 10.0 * clock))
            kept.get(channel, []).append((clock, 10.0 * clock))
        traces.take("crate", NAMES, np.array(rows).reshape(-1, 3))
    for row, channel in ((0, 2), (1, 0)):
        times, values = traces.samples(row)
        assert list(zip(times, values, strict=True)) == kept[channel][-8:]
        newest = kept[channel][-1] if kept[channel] else (math.nan, math.nan)
        np.testing.assert_equal(traces.newest(row), newest)
        if len(kept[channel]) > 8:
            assert traces.since(row) == times[0]


def test_an_attribute_chosen_later_begins_with_what_stands() -> None:
    traces = Traces()
    traces.take("crate", NAMES, np.array([[1.0, 0, 5.0], [2.0, 1, 6.0]]))
    traces.choose([NAMES[0]], now=3.0)
    assert traces.newest(0) == (1.0, 5.0) and traces.since(0) == 3.0
    traces.take("crate", NAMES, np.array([[4.0, 0, 7.0]]))
    traces.choose([NAMES[1], NAMES[0]], now=5.0)
    assert traces.newest(0) == (2.0, 6.0) and traces.newest(1) == (4.0, 7.0)
    assert traces.since(1) == 3.0
    traces.choose(["x/y/z/Nowhere"], now=6.0)
    assert traces.since(0) == math.inf and math.isnan(traces.newest(0)[1])


@given(st.integers(0, 2**32), st.integers(3, 40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_curve_shows_the_extremes_of_every_pixel(seed: int, columns: int, gaps: bool) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.uniform(0.0, 100.0, 500))
    values = random.normal(size=500)
    if gaps:
        values[random.integers(0, 500, 60)] = np.nan
    x, y = curve((times, values), 0.0, 100.0, columns)
    place = np.minimum((times / (100.0 / columns)).astype(int), columns - 1)
    shown = np.minimum((x / (100.0 / columns)).astype(int), columns - 1)
    for column in range(columns):
        mine = values[place == column]
        mine = mine[np.isfinite(mine)]
        if len(mine):
            there = y[shown == column]
            assert np.nanmin(there) <= mine.min() and np.nanmax(there) >= mine.max()
    assert np.isnan(y).any() == np.isnan(values).any()
    assert len(x) <= 2 * (2 * columns + 2 + 4 * 60 * gaps)
    assert (np.diff(x) >= 0.0).all()


def test_a_value_holds_until_the_next_sample_and_archive_and_live_meet() -> None:
    x, y = curve((np.array([-5.0, 4.0]), np.array([1.0, 2.0])), 0.0, 10.0, 100)
    assert list(zip(x, y, strict=True)) == [(0.0, 1.0), (4.0, 1.0), (4.0, 2.0), (10.0, 2.0)]
    live = np.array([3.0, 50.0, 60.0]), np.array([3.5, 5.0, 6.0])
    old = answer(0.0, [10.0, 20.0, 45.0], [1.0, 2.0, 4.0], before=[-3.0, 0.5])
    x, y = picture(old, live, 40.0, (0.0, 70.0), 100).line
    assert y[x <= 5.0].tolist() == [0.5]
    assert [float(at(old, live, 40.0, when)[0]) for when in (5.0, 15.0, 30.0, 55.0, 65.0)] == [
        0.5,
        1,
        2,
        5,
        6,
    ]
    assert y[-1] == 6.0 and 4.0 not in y  # from `since` on the live samples count
    assert math.isnan(at(old, live, 40.0, -50.0)[0])


def test_bins_are_a_band_with_their_mean_and_unknown_ones_a_gap() -> None:
    old = answer(10.0, [0.0, 10.0, 20.0], [5.0, math.nan, 7.0], count=[3, 0, 3], unknown=[0, 3, 0])
    shown = picture(old, (EMPTY, EMPTY), math.inf, (0.0, 100.0), 100)
    np.testing.assert_equal(shown.line[1], [5.0, math.nan, 7.0])
    np.testing.assert_equal(shown.band[1], [4.0, 6.0, math.nan, math.nan, 6.0, 8.0])
    assert shown.bounds() == (4.0, 8.0)
    assert at(old, (EMPTY, EMPTY), math.inf, 25.0) == (6.0, 8.0)


def test_the_pace_stays_below_its_share_and_draws_no_picture_that_would_be_the_same() -> None:
    pace, spent, pictures = Pace(share=0.1), 0.0, 0
    for tick in range(1000):
        if pace.due(0.1 * tick, spent, step=0.05):
            pictures += 1
            spent += 0.03
    assert spent <= 0.1 * 100.0 + 0.03 and pictures > 200
    still = Pace()
    assert [still.due(float(tick), 0.0, step=3.0) for tick in range(7)] == [True, False, False] * 2 + [True]
    assert [still.due(10.0 + tick, 0.0, step=None, forced=tick == 1) for tick in range(3)] == [
        False,
        True,
        False,
    ]


def test_a_trend_zooms_pans_and_is_kept(tmp_path: Path) -> None:
    trend = Trend(span=100.0)
    assert trend.add(NAMES) == list(NAMES) and trend.add(NAMES) == []
    with pytest.raises(Refused, match=str(MOST)):
        trend.add(f"a/b/{number}/C" for number in range(MOST))
    trend.pan(-0.5, now=1000.0)
    assert not trend.follow and trend.range(2000.0) == (850.0, 950.0)
    trend.zoom(0.5, now=1000.0)
    assert trend.range(2000.0) == (875.0, 925.0)
    trend.pan(10.0, now=1000.0)
    assert trend.follow and trend.range(1001.0) == (951.0, 1001.0)
    trend.rows[0].unit = trend.rows[1].unit = "A"
    trend.split(1)
    assert trend.lanes() == ["A", "A (2)", "1"]
    trend.log.add("A")
    sets = Sets(tmp_path / "sets")
    sets.save("magnets 1", trend)
    assert sets.names() == ["magnets 1"] and as_json(sets.load("magnets 1")) == as_json(trend)
    for name in ("", " x", "../x", "a/b", "x" * 61):
        with pytest.raises(Refused):
            sets.save(name, trend)
    for bad in ({}, [], {"attributes": [1], "span_s": 1}, {"attributes": [], "span_s": "long"}):
        with pytest.raises(BadInput):
            from_json(bad)
    (tmp_path / "sets" / "broken.json").write_text("{")
    with pytest.raises(BadInput):
        sets.load("broken")
    assert fitting(NAMES, "B/C t", 5) == [NAMES[1], NAMES[2]] and fitting(NAMES, "", 1) == [NAMES[0]]


@pytest.mark.requirement("ACS-USERS")
def test_the_strip_offers_what_the_table_of_control_knows() -> None:
    for state in State:
        for user, holder, asked, offered in (
            ("me", "me", "you", ""),
            ("me", "you", "me", ""),
            ("me", "you", "", "me"),
            ("me", "you", "they", ""),
        ):
            row = {
                "area": "ring",
                "title": "Ring",
                "title_zh": "环",
                "required": True,
                "state": state.value,
                "user": "" if state is State.FREE else holder,
                "until": 0.0,
                "asked_by": asked if state is State.ASKED else "",
                "offered_to": offered if state is State.OFFERED else "",
            }
            offers = acts(row, user)
            assert offers or state is State.FREE
            assert {Event[act.command.upper()] for act in offers} <= set(TABLE[state])
            assert acts(row, "") == []
            assert row["user"] in area_text(row, "somebody else")


@pytest.mark.requirement("ACS-SNAPSHOT")
def test_a_difference_is_a_sign_a_bar_and_a_number() -> None:
    row = {"name": "x", "kind": "value", "left": 1.0, "right": 2.0, "apart": 2.5, "tolerance": 0.4}
    assert words.difference_texts(row) == ("▲", "x", "1", "2", "██······  2.5×", "± 0.4")
    far = words.difference_texts(row | {"apart": 12.0})
    assert far[0] == "✘" and far[4].startswith("████████  12.0")
    assert words.difference_texts(row | {"kind": "unknown", "right": None, "right_why": "off"})[3] == "? off"
    assert words.difference_texts(row | {"apart": None, "tolerance": 0.0})[4:] == ("must be equal", "=")
