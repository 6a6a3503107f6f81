"""Site files: includes, defaults, rooms, and what a malformed file is told, with file and line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from common import site, yaml_file
from common.errors import BadConfig

HEAD = site.DEFAULT_SITE.read_text(encoding="utf-8").split("include:")[0].split("devices:")[0]
SERVERS = ("accelerator", "central", "room1", "treatment", "services")


def written(folder: Path, tail: str, **parts: str) -> Path:
    """A site file with the head of the demonstration site, and the files beside it."""
    for name, text in parts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = folder / "site.yaml"
    path.write_text(HEAD + tail, encoding="utf-8")
    return path


def line_of(path: Path, text: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


GAUGES = """defaults:
  VacuumGauge: {server: accelerator, limits: {pressure: [0, 1.0e-6]}, plant: {volume: ring, base_mbar: 1.0}}
devices:
  - {name: acs/vacuum/ring-gauge-07, class: VacuumGauge, plant: {base_mbar: 2.0e-9}}
  - {name: room1/vacuum/gauge, class: VacuumGauge, area: room, wire: g, element: window, server: room1}
"""


@pytest.mark.requirement("ACS-SUPERVISE")
def test_included_rows_take_class_defaults(tmp_path: Path) -> None:
    tail = "include: [gauges.yaml]\n"
    tail += "defaults:\n  VacuumGauge: {area: accelerator, plant: {volume: hall, pump_s: 5}}\n"
    tail += "devices:\n  - {name: room1/beam/nozzle, class: Nozzle, server: room1, area: room, wire: fpga}\n"
    found = site.load(written(tmp_path, tail, gauges=GAUGES))
    first, second, nozzle = found.devices
    assert first.wire == "vacuum-ring-gauge-07" and first.room == "" and first.area == "accelerator"
    assert first.plant == {"volume": "ring", "pump_s": 5, "base_mbar": 2.0e-9}, "row over file over site"
    assert first.limits == {"pressure": (0, 1.0e-6)}
    assert (second.room, second.element, second.wire, second.server) == ("room1", "window", "g", "room1")
    assert second.origin == "gauges.yaml line 5" and nozzle.origin.startswith("site.yaml line ")
    assert found.rooms == ("room1",) and found.of_class("VacuumGauge", "room1") == (second,)


@pytest.mark.requirement("ACS-SUPERVISE")
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("class: VacuumGauge, server: nowhere, area: accelerator", "unknown server nowhere"),
        ("class: VacuumGauge, server: accelerator, area: moon", "'moon' is not one of"),
        ("class: gauge, server: accelerator, area: accelerator", "'gauge' does not match"),
        ("class: VacuumGauge, area: accelerator", "has no server"),
        ("class: VacuumGauge, server: accelerator", "has no area"),
        ("class: VacuumGauge, server: accelerator, area: accelerator, wier: x", "'wier' was unexpected"),
        (
            "class: VacuumGauge, server: accelerator, area: accelerator, alarms: {p: [1, 0, 2, 3]}",
            "must rise",
        ),
        ("class: VacuumGauge, server: accelerator, area: accelerator, limits: {p: [2, 1]}", "must rise"),
        (
            "class: VacuumGauge, server: accelerator, area: accelerator, limits: {p: [.nan, 1]}",
            "must be finite",
        ),
        ("class: VacuumGauge, server: accelerator, area: accelerator, limits: {p: [0, 1e-6]}", "1.0e-7"),
        ("class: VacuumGauge, server: accelerator, area: accelerator, limits: {p: [1]}", "too short"),
        ("class: VacuumGauge, server: accelerator, area: accelerator, class: X", "key 'class' given twice"),
        ("class: VacuumGauge, server: accelerator, area: accelerator, wire: [", "did not find expected"),
    ],
)
def test_a_bad_row_is_told_with_file_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    tail = "include: [more.yaml]\ndevices: []\n"
    more = "devices:\n  # a comment\n  - {name: a/b/c, class: Xx, server: central, area: central}\n"
    path = written(tmp_path, tail, more=f"{more}  - {{name: a/b/d, {row}}}\n")
    with pytest.raises(BadConfig, match=reason.replace("[", r"\[")) as caught:
        site.load(path)
    assert "more.yaml line 4" in str(caught.value) or (
        "wire: [" in row and "more.yaml line" in str(caught.value)
    )


@pytest.mark.requirement("ACS-SUPERVISE")
def test_names_and_wires_are_given_once(tmp_path: Path) -> None:
    rows = "devices:\n  - {name: a/b/c, class: Xx, server: central, area: central}\n"
    again = rows + "  - {name: %s, class: Xx, server: central, area: central%s}\n"
    for name, wire, reason in (
        ("a/b/c", "", "device named twice: a/b/c"),
        ("a/b/d", ", wire: b-c", "wire named twice: b-c"),
    ):
        path = written(tmp_path, again % (name, wire))
        with pytest.raises(BadConfig, match=reason) as caught:
            site.load(path)
        assert f"site.yaml line {line_of(path, 'devices:') + 2}" in str(caught.value)


@pytest.mark.requirement("ACS-SUPERVISE")
@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "included file one.yaml does not exist"),
        ({"one": "include: [site.yaml]\ndevices: []\n"}, "circle: site.yaml -> one.yaml -> site.yaml"),
        ({"one": "include: [one.yaml]\ndevices: []\n"}, "one.yaml line 1: .*circle: one.yaml -> one.yaml"),
        (
            {
                "one": "include: [two.yaml, three.yaml]\ndevices: []\n",
                "two": "devices: []\n",
                "three": "include: [two.yaml]\ndevices: []\n",
            },
            "three.yaml line 1: two.yaml is included a second time",
        ),
        ({"one": "devices: []\nsite: x\n"}, "one.yaml line 1: .*'site' was unexpected"),
        ({"one": ""}, "one.yaml line 1: the file is empty"),
        ({"one": "- 1\n"}, "is not of type 'object'"),
    ],
)
def test_includes_that_cannot_be(tmp_path: Path, parts: dict[str, str], reason: str) -> None:
    with pytest.raises(BadConfig, match=reason):
        site.load(written(tmp_path, "include: [one.yaml]\ndevices: []\n", **parts))


@pytest.mark.requirement("ACS-SUPERVISE")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "line 1: nested deeper"),
        ("a: 1\nb: [1.0, .nan]", "line 2: .*must be finite"),
        ("a: -.inf", "line 1: .*must be finite"),
        ("a: " + "{b: " * 50_000, "line 1: nested deeper"),
        ("x: 1\ny: &a [*a]", "line 2: alias a stands for nothing"),
        (
            "a0: &a0 [1,2,3,4,5,6,7,8,9]\n"
            + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
            "parts",
        ),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: 2024-13-45", "cannot read"),
        ("{[1]: 2}", "unhashable key"),
        ("a: \x00", "cannot read"),
        ("a: 1\nb: }", "line 2"),
    ],
)
def test_files_that_would_hurt_the_parser(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig, match=reason):
        yaml_file.read(path).require("site")


@pytest.mark.requirement("ACS-SUPERVISE")
@settings(max_examples=150, deadline=None)
@given(where=st.integers(0, 1_000_000), junk=st.binary(min_size=1, max_size=12), cut=st.integers(0, 40))
def test_damaged_files_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, where: int, junk: bytes, cut: int
) -> None:
    good = site.DEFAULT_SITE.read_bytes()
    at = where % len(good)
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes(good[:at] + junk + good[at + cut :])
    try:
        assert site.load(path).devices
    except BadConfig as why:
        assert str(why)


def test_a_line_is_found_for_every_place(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": [1, {"b": 2}], "c": {"d": [3]}}
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(content, default_flow_style=False), encoding="utf-8")
    file = yaml_file.read(path)
    assert json.loads(json.dumps(file.content)) == content
    assert [file.line(p) for p in ((), ("a",), ("a", 1, "b"), ("c", "d", 0), ("c", "x"), ("a", 9))] == [
        1,
        2,
        3,
        6,
        5,
        2,
    ]
