"""Rules: what follows from a site, what people write, what is refused with its line; sources of values."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tango
import yaml

from common import site as sites
from common.errors import BadConfig, LinkLost
from device_servers.services.alarms import rule_file, rule_set
from device_servers.services.alarms.attributes import Origin
from device_servers.services.alarms.board import Board
from device_servers.services.alarms.engine import Engine
from device_servers.services.alarms.inputs import ALARM, INVALID, VALID, WARNING
from device_servers.services.alarms.intake import Intake
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.sources import ServerSource, ValueSource
from device_servers.services.alarms.states import State
from device_servers.services.alarms.voice import Espeak
from device_servers.services.archive.recorder import Batch
from device_servers.services.kinds import class_named

pytestmark = pytest.mark.requirement("ACS-ALARM")

SITES = ("demo", "synchrotron", "cyclotron")
GOOD: dict[str, Any] = {
    "name": "x",
    "when": "acs/magnet/ring-dipole/Current > 1",
    "text": {"en": "a", "zh": "甲"},
    "guidance": {"en": "b", "zh": "乙"},
}


@pytest.mark.parametrize("name", SITES)
def test_every_site_has_rules_for_its_levels_its_faults_and_its_servers(name: str) -> None:
    site = sites.load(sites.CONFIG / f"{name}.yaml")
    found = rule_set.checked(site, class_named)
    names = [rule.name for rule in found.rules]
    assert len(set(names)) == len(names)
    for server in site.servers:
        assert f"crate/server/{server}/lost" in names
    for device in site.devices:
        shown = class_named(device.tango_class).channels
        wanted = [f"{device.name}/{name}" for name, c in shown.items() if c.quantity in device.alarms]
        assert set(wanted) <= set(names)
        assert (f"{device.name}/State" in names) != (device.tango_class == "FacilityHealth")
    for rule in found.rules:
        assert rule.text.zh != "" and rule.guidance.en != "" and rule.guidance.zh != ""
    engine = Engine(found.rules)
    engine.step(0.0, 0.0)
    standing = engine.conditions.severity
    assert standing.min() >= Severity.NO_ALARM
    assert Board(engine, {}).summary()[""]["rules"] == len(names)


def test_a_level_of_the_site_is_the_level_of_its_rule() -> None:
    site = sites.load(sites.CONFIG / "synchrotron.yaml")
    found = {rule.name: rule for rule in rule_set.checked(site, class_named).rules}
    device = next(device for device in site.devices if device.tango_class == "VacuumGauge")
    levels = device.alarms["pressure"]
    rule = found[f"{device.name}/Pressure"]
    assert rule.levels == levels
    assert rule.hysteresis == pytest.approx(0.02 * (levels[2] - levels[1]))
    assert (rule.priority, rule.delays.clear) == (1, 2.0)
    assert "阀" in rule.guidance.zh


def written(folder: Path, content: Any) -> Path:
    path = folder / "alarms.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"when": "import os"}, "line 2"),
        ({"when": "open(1)"}, "no function open"),
        ({"when": "acs/a/b/C > 1 >"}, "x: expression"),
        ({"severity": "BAD"}, "BAD"),
        ({"priority": 9}, "priority"),
        ({"levels": {"high": 1.0}}, "line 2"),
        ({"colour": "red"}, "colour"),
        ({"delay": {"active": -1}}, "delay"),
        ({"guidance": {"en": "only English"}}, "zh"),
    ],
)
def test_a_bad_rule_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=r"alarms\.yaml line") as caught:
        rule_file.load(written(tmp_path, {"rules": [GOOD | change]}))
    assert words in str(caught.value)


def test_levels_that_do_not_rise_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    row = {key: value for key, value in GOOD.items() if key != "when"} | {"value": "a/b/c/D"}
    for rows, words in (
        ([row | {"levels": {"low": 5, "high": 1}}], "must rise"),
        ([GOOD, GOOD], "there twice"),
        ([row | {"value": "a/b/c/D > 1", "levels": {"high": 1}}], "levels need a number"),
    ):
        with pytest.raises(BadConfig, match=words):
            rule_file.load(written(tmp_path, {"rules": rows}))
    (tmp_path / "other.yaml").write_text("include: [alarms.yaml]\n")
    with pytest.raises(BadConfig, match="circle"):
        rule_file.load(written(tmp_path, {"include": ["other.yaml"]}))


def test_a_wrong_file_does_not_take_the_other_rules_with_it(tmp_path: Path) -> None:
    site = replace(sites.load(), alarms_path=written(tmp_path, {"rules": [GOOD | {"when": "("}]}))
    found = rule_set.of_site(site)
    assert "not in force" in found.trouble
    assert "crate/server/accelerator/lost" in {rule.name for rule in found.rules}
    unknown = GOOD | {"when": "acs/magnet/ring-dipole/Colour > 1"}
    found = rule_set.of_site(replace(site, alarms_path=written(tmp_path, {"rules": [unknown]})))
    assert "no attribute Colour" in found.trouble
    own = GOOD | {"name": "acs/magnet/ring-dipole/State"}
    found = rule_set.of_site(replace(site, alarms_path=written(tmp_path, {"rules": [own]})))
    assert found.trouble == ""
    assert [rule.source for rule in found.rules if rule.name == own["name"]] == [own["when"]]


class Heard:
    """An intake of a site's rules, and its engine."""

    def __init__(self, name: str = "synchrotron") -> None:
        self.site = sites.load(sites.CONFIG / f"{name}.yaml")
        self.found = rule_set.checked(self.site, class_named)
        self.engine = Engine(self.found.rules)
        shapes = [self.found.attributes.find(name) for name in self.engine.inputs.names]
        self.shapes = {shape.name: shape for shape in shapes}
        self.intake = Intake(self.engine.inputs, self.engine.words, shapes, lambda: None)

    def step(self, now: float = 0.0) -> None:
        for sample in self.intake.drain():
            self.engine.step(now, now, sample)

    def value(self, name: str) -> tuple[float, str, int, bool]:
        inputs, place = self.engine.inputs, self.engine.inputs.index[name]
        word = inputs.words[place]
        text = "" if word < 0 else self.engine.words.texts[word]
        return float(inputs.numbers[place]), text, int(inputs.qualities[place]), bool(inputs.lost[place])


def test_values_of_a_block_get_the_quality_of_the_sites_levels() -> None:
    heard = Heard()
    device = next(d for d in heard.site.devices if d.tango_class == "VacuumGauge" and d.server == "utilities")
    name = f"{device.name}/Pressure"
    assert heard.shapes[name].origin is Origin.BLOCK
    lolo, _low, high, hihi = device.alarms["pressure"]
    names = (name.upper().replace("/PRESSURE", "/Pressure"), "not/in/any/Rule")
    for number, wanted in (
        (high / 2, VALID),
        ((high + hihi) / 2, WARNING),
        (hihi * 2, ALARM),
        (np.nan, INVALID),
    ):
        heard.intake.take(Batch(names, np.array([[5.0, 1, 7.0], [6.0, 0, number]])))
        heard.step()
        assert heard.value(name)[2] == wanted
    # two values of one moment: both are judged, in their order
    heard.intake.take(Batch(names, np.array([[7.0, 0, hihi * 2], [8.0, 0, high / 2]])))
    assert len(heard.intake.drain()) == 2
    assert lolo <= high


def test_a_lost_server_is_one_sample() -> None:
    heard = Heard()
    devices = heard.site.on_server("utilities")
    mine = [shape.name for shape in heard.shapes.values() if shape.server == "utilities"]
    source = ServerSource("utilities", devices, heard.found.wired, mine, heard.intake, own=lambda: told)
    told = {device.name: ("ON", "OK", "ONLINE", "") for device in devices}
    source.check()
    heard.step()
    assert heard.value("crate/server/utilities/Up")[0] == 1.0
    assert heard.value(f"{devices[0].name}/State")[1] == "ON"
    told |= dict.fromkeys(told, ("UNKNOWN", "UNKNOWN", "ONLINE", ""))
    hurried: list[bool] = []
    source._hurry = lambda: hurried.append(True)
    names = (f"{devices[0].name}/Current", f"{devices[0].name}/FaultCode")
    source.take(Batch(names, np.array([[11.0, 0, 5.0]])))
    source.check()
    assert (hurried, heard.intake.drain()) == ([], [])
    source.take(Batch(names, np.array([[12.0, 1, 3.0]])))
    assert hurried == [True]
    source.check()
    heard.step(10.0)
    assert heard.value("crate/server/utilities/Linked")[0] == 0.0
    source.gap((), 20.0)
    (sample,) = heard.intake.drain()
    assert len(sample.index) == len(mine)
    heard.engine.step(20.0, 20.0, sample)
    assert heard.value("crate/server/utilities/Up")[0] == 0.0
    assert heard.value(f"{devices[0].name}/State")[3]
    rules = {rule.name: place for place, rule in enumerate(heard.engine.rules)}
    heard.engine.step(30.0, 30.0)
    states = heard.engine.states
    assert states[rules["crate/server/utilities/lost"]] == State.UNACKED
    assert states[rules[f"{devices[0].name}/State"]] == State.SUPPRESSED


def event(value: Any, *, quality: Any = tango.AttrQuality.ATTR_VALID, err: bool = False) -> Any:
    attribute = None if err else SimpleNamespace(value=value, quality=quality)
    return SimpleNamespace(err=err, errors=[], attr_value=attribute)


def test_an_attribute_of_its_own_may_vanish_and_come_back_as_another_type() -> None:
    heard = Heard()
    name = "central/machine/mode/Mode"
    assert heard.shapes[name].origin is Origin.ALONE
    source = ValueSource(name, heard.intake)
    seen = []
    for news in (
        event("CLINICAL"),
        event(3.5),
        event(None),
        event("OFF", quality=tango.AttrQuality.ATTR_INVALID),
        event(np.array([1.0, 2.0])),
        event(tango.DevState.ON),
        event("", err=True),
        event(True),
    ):
        source._event(news)
        heard.step()
        number, word, quality, lost = heard.value(name)
        seen.append((None if np.isnan(number) else number, word, quality == VALID, lost))
    nothing = (None, "", False, False)
    assert seen == [
        (None, "CLINICAL", True, False), (3.5, "", True, False), nothing, nothing, nothing,
        (None, "ON", True, False), (None, "", False, True), (1.0, "", True, False),
    ]  # fmt: skip


def test_status_says_whether_a_server_is_lost() -> None:
    heard = Heard()
    rules = {rule.name: place for place, rule in enumerate(heard.engine.rules)}
    place = rules["central/interlock/tripped"]
    heard.engine.step(0.0, 0.0)
    assert heard.engine.conditions.status[place] == Status.UDF
    heard.intake.put({"central/interlock/1/Tripped": 0.0, "central/machine/mode/Mode": "CLINICAL"}, 1.0)
    heard.step(1.0)
    heard.intake.put({"central/interlock/1/Tripped": None}, 2.0, lost=True)
    heard.step(2.0)
    assert heard.engine.conditions.status[place] == Status.COMM


def test_without_a_voice_the_annunciator_says_so() -> None:
    with pytest.raises(LinkLost, match="espeak-ng is not installed"):
        Espeak(program="no-such-program").announce(Severity.MAJOR, "test", "en")
