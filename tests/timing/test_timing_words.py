"""The sync-word dialect, the plan of a site and its beam catalogue."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common import site as sites
from common.errors import BadConfig, BadInput
from common.ions import rigidity
from timing import catalogue
from timing.cycle import Durations
from timing.events import Code, Event
from timing.plan import load, locate, plain
from timing.syncword import Dialect, Flag, SyncWord

pytestmark = pytest.mark.requirement("ACS-TIMING")

CONFIG = sites.CONFIG
SITES = {name: sites.load(CONFIG / f"{name}.yaml") for name in ("demo", "synchrotron", "cyclotron")}


def plan_path(name: str) -> Path:
    site = SITES[name]
    return locate(site.path.parent, site.name, "timing.yaml")


PLANS = {name: load(plan_path(name), float(SITES[name].delivery["layer_switch_s"])) for name in SITES}


def test_the_word_of_the_machine_that_is_known() -> None:
    word = SyncWord.decode(0xC05A2001)
    assert (word.sync_id, word.function, word.flags, word.waveform) == (0xC0, 0x5A, Flag.COMPENSATION, 1)
    assert word.compensated and not word.acknowledged
    assert word.encode() == 0xC05A2001


@given(st.integers(0, 255), st.integers(1, 255), st.integers(1, 255), st.integers(0, 15))
def test_words_go_there_and_back(sync_id: int, function: int, waveform: int, flags: int) -> None:
    word = SyncWord(sync_id, function, waveform, flags)
    assert SyncWord.decode(word.encode()) == word
    assert 0 <= word.encode() < 2**32 and word.encode() & 0xF00 == 0


@given(st.integers(-(2**33), 2**33))
def test_any_bits_are_read_exactly_or_refused(bits: int) -> None:
    try:
        word = SyncWord.decode(bits)
    except BadInput:
        legal = 0 <= bits < 2**32 and not bits & 0xF00 and bits & 0xFF and bits >> 16 & 0xFF
        assert not legal
    else:
        assert word.encode() == bits


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("waveform", [1, 97, 255])
def test_a_machine_cycle_in_both_dialects(name: str, waveform: int) -> None:
    plan = PLANS[name]
    events = [*plan.up.events(1000), *plan.down.events(10**9), Event(2 * 10**9, Code.IDLE)]
    words = plan.dialect.to_words([*events, Event(3 * 10**9, Code.HEARTBEAT)], waveform)
    assert [tick for tick, _ in words] == [event.tick for event in events]
    assert words[0][1] == 0xC05A2000 | waveform, "the cycle begins with the word that switches"
    assert plan.dialect.to_events(words) == [(event, waveform) for event in events]
    back = plan.dialect.to_words([event for event, _ in plan.dialect.to_events(words)], waveform)
    assert back == words


def test_words_and_events_without_a_counterpart_are_refused() -> None:
    dialect = PLANS["demo"].dialect
    with pytest.raises(BadInput, match="no sync function"):
        dialect.to_words([Event(0, 0x55)], 1)
    for waveform in (0, 256, math.nan):
        with pytest.raises(BadInput, match="waveform"):
            dialect.to_words([Event(0, 0x20)], waveform)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="its id is not"):
        dialect.to_events([(0, 0xC15A2001)])
    with pytest.raises(BadInput, match="unknown function"):
        dialect.to_events([(0, 0xC0FF2001)])
    with pytest.raises(BadInput, match="same function"):
        Dialect(0xC0, 0, {0x20: 0x5A, 0x21: 0x5A})


@pytest.mark.parametrize("name", SITES)
def test_a_sites_phases_add_up_to_its_layer_switch(name: str) -> None:
    switch_s = float(SITES[name].delivery["layer_switch_s"])
    durations = PLANS[name].durations
    assert durations.layer_switch == Durations.of_layer_switch(switch_s).layer_switch
    wires = {device.wire for device in SITES[name].devices}
    content = yaml.safe_load(plan_path(name).read_text())
    pulsers = [row for rows in content["receivers"].values() for row in rows.values()]
    assert {row["device"] for row in pulsers if "device" in row} <= wires
    assert set(PLANS[name].receivers) >= set(SITES[name].rooms)


def test_the_demonstrations_cycle_is_the_plain_one() -> None:
    assert PLANS["demo"].durations == plain(1.91).durations == Durations.of_layer_switch(1.91)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"codes": {"X": 0x7F}}, "timing.yaml"),
        ({"codes": {"X": 0x20}}, "another name"),
        ({"triggers": [{"in": "INJECTION", "at_us": 10, "event": "NOBODY"}]}, "no event 'NOBODY'"),
        ({"triggers": [{"in": "INJECTION", "at_us": 2.9e7, "event": "MEASURE"}]}, "beyond INJECTION"),
        ({"triggers": [{"in": "RAMP", "at_us": float("nan"), "event": "MEASURE"}]}, "must be finite"),
        ({"triggers": [{"in": "RAMP", "at_us": 10, "event": "HEARTBEAT"}]}, "event system itself"),
        ({"triggers": [{"in": "RAMP", "at_us": 10, "event": "RAMP"}]}, "once and in this order"),
        ({"triggers": [{"in": "RAMP", "at_us": 10, "event": "MEASURE"}] * 2}, "offsets must rise"),
        ({"receivers": {"r": {"p": {"events": {"MEASURE": "trigger"}, "prescaler": 1}}}}, "minimum"),
        ({"tolerance_us": 1.0e9}, "maximum"),
        ({"shares": {"down_share": 0.6, "injection_share": 0.6}}, "each phase needs one tick"),
    ],
)
def test_malformed_timing_files_are_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    content = yaml.safe_load(plan_path("demo").read_text()) | change
    path = tmp_path / "timing.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BadInput, match=why):
        load(path, 1.91)


# --- the beam catalogue


@pytest.mark.parametrize("name", SITES)
def test_every_entry_of_a_catalogue_is_found(name: str) -> None:
    site, beams = SITES[name], catalogue.of_site(SITES[name])
    seen = set()
    for ion, energies in beams.energies.items():
        for number, energy in enumerate(energies, start=1):
            for intensity in beams.intensities:
                for room in beams.rooms:
                    wanted = {"ion": ion, "energy": energy, "intensity": intensity, "room": room}
                    entry = beams.select(wanted)
                    assert (entry.waveform, entry.energy, entry.room) == (number, energy, room)
                    seen.add(entry.id)
    assert len(seen) == beams.count and set(beams.rooms) == set(site.rooms)
    assert set(beams.energies) == set(site.ions)


def test_settings_follow_the_rigidity_and_the_room() -> None:
    site, beams = SITES["synchrotron"], catalogue.of_site(SITES["synchrotron"])
    low, high = (
        beams.select({"ion": "carbon", "energy": energy, "intensity": "nominal", "room": "room2"})
        for energy in (120.0, 400.0)
    )
    first, second = (catalogue.settings(entry, site.devices) for entry in (low, high))
    assert len(first) > 20 and first.keys() == second.keys()
    ratio = rigidity("carbon", 400.0) / rigidity("carbon", 120.0)
    assert all(second[wire] == pytest.approx(first[wire] * ratio) for wire in first)
    rooms = {device.wire: device.room for device in site.devices}
    assert {rooms[wire] for wire in first} <= {"", "room2"}
    assert rigidity("carbon", 400.0) == pytest.approx(6.35, abs=0.02), "known for 400 MeV/u carbon, T m"


@pytest.mark.parametrize(
    "wanted",
    [
        {"ion": "gold", "energy": 100, "intensity": "nominal"},
        {"energy": math.nan, "intensity": "nominal"},
        {"energy": True, "intensity": "nominal"},
        {"energy": 100.4, "intensity": "nominal"},
        {"energy": 300, "intensity": "nominal"},
        {"energy": 100},
        {"energy": 100, "intensity": ["nominal"]},
        {"energy": 100, "intensity": "nominal", "room": "room9"},
        {"energy": 100, "intensity": "nominal", "gantry": 0},
        {},
    ],
)
def test_what_the_catalogue_does_not_have_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        catalogue.of_site(SITES["demo"]).select(wanted)


def test_the_catalogues_id_changes_with_its_content(tmp_path: Path) -> None:
    content = yaml.safe_load((CONFIG / "beams.yaml").read_text())
    before = catalogue.of_site(SITES["demo"]).id
    path = tmp_path / "beams.yaml"
    path.write_text(yaml.safe_dump(content))
    assert catalogue.load(path, SITES["demo"]).id == before
    path.write_text(yaml.safe_dump(content | {"intensities": {"nominal": 1.0}}))
    assert catalogue.load(path, SITES["demo"]).id != before
    for wrong in (
        {"ions": {"carbon": {"list": [120]}}},
        {"ions": {"proton": {"list": [120, 100]}}},
        {"ions": {"proton": {"from": 70, "to": 71, "count": 255}}},
        {"rooms": ["room9"]},
    ):
        path.write_text(yaml.safe_dump(content | wrong))
        with pytest.raises(BadConfig):
            catalogue.load(path, SITES["demo"])
