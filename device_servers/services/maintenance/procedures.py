"""Procedures and checklists as data: steps, the values and limits that they name, and whom they concern.

`config/revalidation/CLASS.yaml` says how a device of a class is re-validated, and
`config/checklists/SITE/NAME.yaml` how a site is started up or shut down. Values and limits may be the
site's: {limit: current, share: 0.5} is half-way between its limits of `current`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from common.errors import Refused
from common.site import Device, Site
from common.text import _
from common.yaml_file import CONFIG, read

REVALIDATION = CONFIG / "revalidation"
CHECKLISTS = CONFIG / "checklists"
KINDS = ("command", "write", "refused", "wait", "measure", "confirm")
"""What a step does: exactly one of these keys stands in it."""


class NotApplicable(Exception):
    """A step names a limit or value that the site does not give this device: it does not concern it."""


@dataclass(frozen=True)
class Step:
    """One step; `spec` is its row of the file. text: language -> words."""

    name: str
    text: Mapping[str, str]
    kind: str
    spec: Mapping[str, Any]

    @property
    def attribute(self) -> str:
        """The command or attribute that it is about; "" for a question."""
        return "" if self.kind == "confirm" else str(self.spec[self.kind])

    @property
    def samples(self) -> int:
        """Readings that it takes of each device."""
        return int(self.spec.get("samples", 1))

    @property
    def asks_how_it_stands(self) -> bool:
        """Whether the device's own Status explains why this step failed."""
        return self.kind == "wait" or "is" in self.spec


@dataclass(frozen=True)
class Procedure:
    """Steps in order. `leave`: done at the end in any case, so that the device is left safe.

    kind: revalidation or checklist. name: the class, or the checklist. digest: SHA-256 of the content.
    """

    kind: str
    name: str
    title: Mapping[str, str]
    steps: tuple[Step, ...]
    leave: tuple[Step, ...]
    digest: str

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """As they stand in a record."""
        return (*self.steps, *self.leave)


@dataclass(frozen=True)
class Limits:
    """What a reading may be: a range, or one of several values."""

    low: float = -math.inf
    high: float = math.inf
    allowed: tuple[Any, ...] = field(default=())


def for_class(tango_class: str, folder: Path = REVALIDATION) -> Procedure:
    """The re-validation of a device class. Raises Refused when there is none, BadConfig."""
    path = folder / f"{tango_class}.yaml"
    if not path.exists():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.yaml")))
        text = _("class {name} has no re-validation procedure; there are procedures for {known}")
        raise Refused(text.format(name=tango_class, known=known))
    return _load(path, "revalidation", tango_class)


def checklist(site: Site, name: str, folder: Path = CHECKLISTS) -> Procedure:
    """A checklist of a site. Raises Refused when there is none, BadConfig."""
    path = folder / site.name / f"{name}.yaml"
    if not name.replace("-", "").isalpha() or not path.exists():
        text = _("site {site} has no checklist {name!r}: allowed are {known}")
        known = ", ".join(checklists(site, folder)) or _("none")
        raise Refused(text.format(site=site.name, name=name, known=known))
    return _load(path, "checklist", name)


def checklists(site: Site, folder: Path = CHECKLISTS) -> list[str]:
    """Names of a site's checklists."""
    return sorted(path.stem for path in (folder / site.name).glob("*.yaml"))


def targets(step: Step, site: Site, device: Device | None) -> list[Device]:
    """The devices that a step concerns: the one of the procedure, or those that its `at` selects."""
    if step.kind == "confirm":
        return []
    if device is not None:
        return [device]
    wish: Mapping[str, Any] = step.spec["at"]
    classes, names = _listed(wish.get("class")), _listed(wish.get("name")) or ["*"]
    return [
        found
        for found in site.devices
        if (not classes or found.tango_class in classes)
        and any(fnmatchcase(found.name, name) for name in names)
        and not any(fnmatchcase(found.name, name) for name in _listed(wish.get("except")))
    ]


def value_of(wish: Any, device: Device, before: Mapping[str, Any]) -> Any:
    """A value that a step names, for one device. before: attribute -> its value when the procedure began.

    Raises NotApplicable when the site does not say it.
    """
    if not isinstance(wish, dict):
        return wish
    if "before" in wish:
        if wish["before"] not in before:
            raise NotApplicable(f"{wish['before']} was not known")
        return before[wish["before"]]
    if "limit" in wish:
        if wish["limit"] not in device.limits:
            raise NotApplicable(f"no limits of {wish['limit']}")
        low, high = device.limits[wish["limit"]]
        base = low + float(wish.get("share", 1.0)) * (high - low)
    else:
        if wish["plant"] not in device.plant:
            raise NotApplicable(f"no {wish['plant']}")
        base = float(device.plant[wish["plant"]]) * float(wish.get("times", 1.0))
    return base + float(wish.get("plus", 0.0))


def limits_of(step: Step, device: Device, before: Mapping[str, Any]) -> Limits:
    """What the readings of a step may be. Raises NotApplicable."""
    wish: Mapping[str, Any] = step.spec.get("limits", {})
    if "is" in step.spec:
        return Limits(allowed=tuple(_listed(step.spec["is"])))
    if "site" in wish:
        if wish["site"] not in device.limits:
            raise NotApplicable(f"no limits of {wish['site']}")
        return Limits(*device.limits[wish["site"]])
    if "near" in wish:
        middle = float(value_of(wish["near"], device, before))
        width = float(wish.get("within", 0.0)) + abs(middle) * float(wish.get("relative", 0.0))
        if "of" in wish:
            width += float(wish["share"]) * abs(float(value_of(wish["of"], device, before)))
        return Limits(middle - width, middle + width)
    low = value_of(wish.get("low", -math.inf), device, before)
    return Limits(float(low), float(value_of(wish.get("high", math.inf), device, before)))


def written(procedure: Procedure) -> list[str]:
    """Attributes whose value before the procedure is needed later."""
    found: dict[str, None] = {}
    for step in procedure.all_steps:
        for wish in (step.spec.get("value"), step.spec.get("limits", {}).get("near")):
            if isinstance(wish, dict) and "before" in wish:
                found[wish["before"]] = None
    return list(found)


def _load(path: Path, kind: str, name: str) -> Procedure:
    file = read(path)
    file.require("procedure", kind)
    content = file.content
    names = [row["name"] for row in (*content["steps"], *content.get("leave", []))]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise file.bad(f"step named twice: {', '.join(doubled)}", ("steps",))
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return Procedure(
        kind,
        name,
        content["title"],
        _steps(content["steps"]),
        _steps(content.get("leave", [])),
        hashlib.sha256(canonical.encode()).hexdigest(),
    )


def _steps(rows: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step(row["name"], row["text"], next(k for k in KINDS if k in row), row) for row in rows)


def _listed(one_or_more: Any) -> list[Any]:
    if one_or_more is None:
        return []
    return list(one_or_more) if isinstance(one_or_more, list) else [one_or_more]
