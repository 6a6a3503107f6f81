"""The site's file of alarms: hand-written rules, what holds for classes of devices, voice and history."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import BadConfig
from common.yaml_file import YamlFile, read
from device_servers.services.alarms.announcer import Manner
from device_servers.services.alarms.expression import names, parse_truth
from device_servers.services.alarms.rules import LEVEL_SEVERITY, Delays, Rule, Words, level_rule, truth_rule
from device_servers.services.alarms.severity import Severity, Status

KEYS = ("lolo", "low", "high", "hihi")
OUTSIDE = (-math.inf, -math.inf, math.inf, math.inf)


@dataclass(frozen=True)
class AlarmFile:
    """A file and the files that it includes; its own entries come after, and over, theirs.

    classes: "*", CLASS, CLASS.quantity or CLASS.State -> what generated rules take from it.
    """

    rules: Sequence[Rule] = ()
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    manner: Manner = field(default_factory=Manner)
    keep_days: float = 3650.0


def load(path: Path) -> AlarmFile:
    """Read and check a file of alarms. Raises BadConfig with file, line and reason."""
    return _load(path.resolve(), ())


def _load(path: Path, above: tuple[Path, ...]) -> AlarmFile:
    file = read(path)
    file.require("alarms")
    content: Mapping[str, Any] = file.content
    if path in above:
        raise file.bad("files of alarms include each other in a circle", ("include",))
    found = AlarmFile()
    for name in content.get("include", ()):
        part = _load((path.parent / name).resolve(), (*above, path))
        found = AlarmFile(
            [*found.rules, *part.rules], {**found.classes, **part.classes}, part.manner, part.keep_days
        )
    rules = list(found.rules)
    for index, row in enumerate(content.get("rules", ())):
        rules.append(_rule(file, index, row))
    _once(file, rules)
    voice = content.get("annunciator")
    return AlarmFile(
        rules,
        {**found.classes, **content.get("classes", {})},
        found.manner if voice is None else _manner(voice),
        float(content.get("history", {}).get("keep_days", found.keep_days)),
    )


def delays(row: Mapping[str, Any]) -> Delays:
    """Delays of a row, in s."""
    return Delays(**{key: float(value) for key, value in row.get("delay", {}).items()})


def words(row: Any) -> Words:
    """A text in one or two languages."""
    return Words(row, row) if isinstance(row, str) else Words(**(row or {}))


def _manner(row: Mapping[str, Any]) -> Manner:
    return Manner(
        voice=row.get("voice", False),
        languages=tuple(row.get("languages", ("en",))),
        least=Severity[row.get("least", "MAJOR")],
        repeat=float(row.get("repeat_s", 15.0)),
    )


def _rule(file: YamlFile, index: int, row: Mapping[str, Any]) -> Rule:
    try:
        inhibit = row.get("inhibit", "")
        rest = {
            "inhibit": parse_truth(inhibit) if inhibit else None,
            "inhibit_source": inhibit,
            "delays": delays(row),
            "latch": row.get("latch", True),
            "group": row.get("group", ""),
            "priority": row.get("priority", 2),
            "area": row.get("area", ""),
            "text": words(row["text"]),
            "guidance": words(row["guidance"]),
        }
        return _made(row, rest)
    except BadConfig as why:
        raise file.bad(f"{row['name']}: {why}", ("rules", index)) from why


def _made(row: Mapping[str, Any], rest: dict[str, Any]) -> Rule:
    if "when" in row:
        severity, status = Severity[row.get("severity", "MAJOR")], Status[row.get("status", "STATE")]
        return truth_rule(row["name"], row["when"], severity, status, **rest)
    given: Mapping[str, float] = row["levels"]
    lolo, low, high, hihi = (
        float(given.get(key, outside)) for key, outside in zip(KEYS, OUTSIDE, strict=True)
    )
    chosen = row.get("severities", {})
    severities = tuple(
        Severity[chosen[key]] if key in chosen else usual
        for key, usual in zip(KEYS, LEVEL_SEVERITY, strict=True)
    )
    hysteresis = float(row.get("hysteresis", 0.0))
    return level_rule(
        row["name"],
        row["value"],
        (lolo, low, high, hihi),
        severities=severities,
        hysteresis=hysteresis,
        **rest,
    )


def _once(file: YamlFile, rules: Sequence[Rule]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise file.bad(f"alarm {rule.name} is there twice", ("rules",))
        seen.add(rule.name)


def check_inputs(rules: Sequence[Rule], find: Callable[[str], Any]) -> None:
    """Raise BadConfig for a rule that names an attribute which its device does not have."""
    for rule in rules:
        nodes = [rule.value] if rule.inhibit is None else [rule.value, rule.inhibit]
        for node in nodes:
            for name in names(node):
                try:
                    find(name)
                except BadConfig as why:
                    raise BadConfig(f"alarm {rule.name}: {why}") from why
