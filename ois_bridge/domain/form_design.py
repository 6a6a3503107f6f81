"""The design of a form: its sections and fields, and whether a filled content keeps to it."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from common.errors import BadInput
from common.text import _, language
from ois_bridge.domain.words import N_

KINDS: Mapping[str, str] = {
    "text": N_("line of text"),
    "long": N_("long text"),
    "number": N_("number"),
    "choice": N_("choice"),
    "yesno": N_("yes or no"),
    "date": N_("date"),
    "doses": N_("dose table"),
    "signature": N_("signature"),
}
"""Kinds of fields."""
FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
KIND_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")
MAX_FIELDS, MAX_ROWS = 120, 8
MAX_INPUTS = 180
"""Inputs of one page: a browser's form may send 200 fields. A dose table has three a row."""
LENGTH = {"text": 200, "long": 4000, "choice": 80, "signature": 80}
DOSE_COLUMNS = ("target", "dose_per_fraction", "fractions")


@dataclass(frozen=True)
class Words:
    """A text in both languages."""

    en: str
    zh: str = ""

    @property
    def here(self) -> str:
        """In the language in force."""
        return (self.zh if language() == "zh" else self.en) or self.en


@dataclass(frozen=True)
class Field:
    """One field. low, high: limits of a number in `unit`. choices: (code, words)."""

    name: str
    label: Words
    kind: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[tuple[str, Words], ...] = ()
    required: bool = False
    hint: Words = Words("")

    def shown(self, value: object) -> str:
        """A value as people read it."""
        if self.kind == "choice":
            return next((words.here for code, words in self.choices if code == value), str(value or ""))
        if self.kind == "yesno":
            return {True: _("yes"), False: _("no")}.get(value is True, "") if isinstance(value, bool) else ""
        if self.kind == "number" and isinstance(value, int | float):
            return f"{value:.10g} {self.unit}".strip()
        if self.kind == "doses" and isinstance(value, list):
            return "; ".join(_dose(row) for row in value)
        return str(value) if value is not None else ""


def _dose(row: Mapping[str, Any]) -> str:
    return f"{row['target']} {row['dose_per_fraction']:g} Gy (RBE) × {row['fractions']}"


@dataclass(frozen=True)
class Section:
    """Fields under a heading."""

    title: Words
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Design:
    """A form's design, in one version."""

    kind: str
    title: Words
    sections: tuple[Section, ...]

    @property
    def fields(self) -> Iterator[Field]:
        """All fields in order."""
        return (one for section in self.sections for one in section.fields)


def read(content: Mapping[str, Any]) -> Design:
    """The design that data (YAML, JSON) says. Raises BadInput naming the place and what is allowed."""
    if not isinstance(content, Mapping) or not KIND_NAME.fullmatch(str(content.get("kind", ""))):
        raise BadInput(_("A form has a kind of small letters, digits and hyphens."))
    sections = tuple(_section(row) for row in _rows(content, "sections"))
    design = Design(str(content["kind"]), _words(content.get("title"), "title"), sections)
    names = [one.name for one in design.fields]
    if not names or len(names) > MAX_FIELDS:
        raise BadInput(_("A form has 1 to {n} fields.").format(n=MAX_FIELDS))
    if sum(3 * MAX_ROWS if one.kind == "doses" else 1 for one in design.fields) > MAX_INPUTS:
        raise BadInput(_("A form has at most {n} inputs; a dose table counts as many.").format(n=MAX_INPUTS))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(_("The field name {name} is there twice.").format(name=", ".join(twice)))
    return design


def _rows(content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    rows = content.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadInput(_("“{name}” must be a list.").format(name=name))
    return rows


def _section(row: Mapping[str, Any]) -> Section:
    return Section(_words(row.get("title"), "title"), tuple(_field(one) for one in _rows(row, "fields")))


def _words(row: Any, place: str) -> Words:
    if not isinstance(row, Mapping) or not str(row.get("en") or row.get("zh") or "").strip():
        raise BadInput(_("“{place}” needs a text in English or Chinese.").format(place=place))
    english, chinese = str(row.get("en") or "").strip(), str(row.get("zh") or "").strip()
    if len(english) > 200 or len(chinese) > 200:
        raise BadInput(_("“{place}” has at most 200 characters.").format(place=place))
    return Words(english or chinese, chinese)


def _field(row: Mapping[str, Any]) -> Field:
    name, kind = str(row.get("name", "")), str(row.get("kind", ""))
    if not FIELD_NAME.fullmatch(name):
        raise BadInput(
            _("Field name “{name}”: small letters, digits and underscores, a letter first.").format(name=name)
        )
    if kind not in KINDS:
        raise BadInput(_("Field {name}: its kind is one of {all}.").format(name=name, all=", ".join(KINDS)))
    choices = (
        tuple((str(one.get("code", "")), _words(one, name)) for one in _rows({"c": [], **row}, "choices"))
        if kind == "choice"
        else ()
    )
    if kind == "choice" and (not choices or not all(code for code, _words_ in choices)):
        raise BadInput(_("Field {name}: a choice has answers, each with a code.").format(name=name))
    low, high = _limit(row.get("low"), name), _limit(row.get("high"), name)
    if low is not None and high is not None and low > high:
        raise BadInput(_("Field {name}: the lower limit is above the upper one.").format(name=name))
    hint = _words(row["hint"], name) if row.get("hint") else Words("")
    required = bool(row.get("required", False))
    return Field(
        name, _words(row.get("label"), name), kind, str(row.get("unit", ""))[:16], low, high, choices,
        required, hint,
    )  # fmt: skip


def _limit(value: Any, name: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(_("Field {name}: limits are numbers.").format(name=name))
    return float(value)


def as_data(design: Design) -> dict[str, Any]:
    """The design as data, as `read` takes it."""
    return {
        "kind": design.kind,
        "title": _as(design.title),
        "sections": [
            {"title": _as(section.title), "fields": [field_data(one) for one in section.fields]}
            for section in design.sections
        ],
    }


def _as(words: Words) -> dict[str, str]:
    return {"en": words.en, "zh": words.zh}


def field_data(one: Field) -> dict[str, Any]:
    """A field as data, as `read` takes it."""
    row: dict[str, Any] = {"name": one.name, "kind": one.kind, "label": _as(one.label)}
    if one.unit:
        row["unit"] = one.unit
    if one.low is not None:
        row["low"] = one.low
    if one.high is not None:
        row["high"] = one.high
    if one.choices:
        row["choices"] = [{"code": code, **_as(words)} for code, words in one.choices]
    if one.required:
        row["required"] = True
    if one.hint.en:
        row["hint"] = _as(one.hint)
    return row


def is_date(text: str) -> bool:
    """Whether a text is a date as YYYY-MM-DD."""
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False
