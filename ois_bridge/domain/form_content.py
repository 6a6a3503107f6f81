"""The content of a filled form, checked against its design."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.form_design import DOSE_COLUMNS, LENGTH, MAX_ROWS, Design, Field, Words, is_date

Content = dict[str, Any]
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def written(design: Design, fields: Mapping[str, str]) -> Content:
    """The content that a page's form says: field -> value. Raises BadInput for a value of the wrong kind.

    A dose table comes as NAME.ROW.COLUMN. Empty fields are left out.
    """
    content: Content = {}
    for one in design.fields:
        value = _table(one, fields) if one.kind == "doses" else _value(one, fields.get(one.name, "").strip())
        if value not in (None, "", []):
            content[one.name] = value
    return content


def checked(design: Design, content: Mapping[str, Any]) -> Content:
    """A content as another system sends it. Raises BadInput for unknown fields and wrong values."""
    known = {one.name: one for one in design.fields}
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise BadInput(
            _("This form has no field {name}; it has {all}.").format(
                name=", ".join(unknown[:5]), all=", ".join(known)
            )
        )
    flat: dict[str, str] = {}
    for name, value in content.items():
        if known[name].kind == "doses" and isinstance(value, list):
            if len(value) > MAX_ROWS:
                raise BadInput(_("{label}: at most {n} rows.").format(label=name, n=MAX_ROWS))
            for row, line in enumerate(value):
                if not isinstance(line, Mapping):
                    raise BadInput(_("{label}: a row has target, dose and fractions.").format(label=name))
                flat.update({f"{name}.{row}.{column}": str(line.get(column, "")) for column in DOSE_COLUMNS})
        elif isinstance(value, bool):
            flat[name] = "yes" if value else "no"
        elif isinstance(value, str | int | float):
            flat[name] = str(value)
        elif value is not None:
            raise BadInput(_("{label}: a text, a number, yes or no is needed.").format(label=name))
    return written(design, flat)


def missing(design: Design, content: Mapping[str, Any]) -> list[str]:
    """Labels of the required fields that are empty."""
    return [one.label.here for one in design.fields if one.required and one.name not in content]


def digest(kind: str, version: int, course_key: str, content: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what a signature is bound to: kind, version, course and content, canonical JSON."""
    stated = {"kind": kind, "version": version, "course": course_key, "content": content}
    text = json.dumps(stated, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def words_of(design: Design, content: Mapping[str, Any]) -> str:
    """The content as running text in both languages, for the search."""
    lines = [design.title.en, design.title.zh]
    for one in design.fields:
        if one.name in content:
            value = content[one.name]
            shown = (
                " ".join(str(cell) for row in value for cell in row.values())
                if isinstance(value, list)
                else _in_both(one, value)
            )
            lines.append(f"{_pair(one.label)}: {shown}")
    return "\n".join(line for line in lines if line)


def _in_both(field: Field, value: Any) -> str:
    """A value in both languages: who searches need not speak the one of who approved."""
    chosen = next((words for code, words in field.choices if code == value), None)
    return _pair(chosen) if chosen is not None else field.shown(value)


def _pair(words: Words) -> str:
    return " ".join(dict.fromkeys(filter(None, (words.en, words.zh))))


def readable(text: str, label: str) -> str:
    """A text without control characters (a database keeps no NUL). Raises BadInput."""
    if CONTROL.search(text):
        raise BadInput(_("{label}: there is a character that cannot be read.").format(label=label))
    return text


def _value(one: Field, text: str) -> Any:
    if not text:
        return None
    readable(text, one.label.here)
    if one.kind == "number":
        return _number(one, text)
    if one.kind == "date" and not is_date(text):
        raise BadInput(_("{label}: a date as 2026-11-23 is needed.").format(label=one.label.here))
    if one.kind == "yesno":
        if text not in ("yes", "no"):
            raise BadInput(_("{label}: yes or no.").format(label=one.label.here))
        return text == "yes"
    if one.kind == "choice" and text not in dict(one.choices):
        raise BadInput(_("{label}: this is none of its answers.").format(label=one.label.here))
    if len(text) > LENGTH.get(one.kind, 200):
        raise BadInput(
            _("{label}: at most {n} characters.").format(label=one.label.here, n=LENGTH.get(one.kind, 200))
        )
    return text


def _number(one: Field, text: str) -> float:
    try:
        value = float(text)
    except ValueError as why:
        raise BadInput(_("{label}: a number is needed.").format(label=one.label.here)) from why
    low, high = (-math.inf if one.low is None else one.low), (math.inf if one.high is None else one.high)
    if not math.isfinite(value) or not low <= value <= high:
        raise BadInput(
            _("{label}: {value} is outside {low} to {high} {unit}.")
            .format(label=one.label.here, value=text, low=f"{low:g}", high=f"{high:g}", unit=one.unit)
            .replace(" .", ".")
        )
    return value


def _table(one: Field, fields: Mapping[str, str]) -> list[Content]:
    """Rows of a dose table: target, Gy (RBE) a fraction, number of fractions."""
    rows: list[Content] = []
    for number in range(MAX_ROWS):
        cells = {column: fields.get(f"{one.name}.{number}.{column}", "").strip() for column in DOSE_COLUMNS}
        if not any(cells.values()):
            continue
        try:
            dose, fractions = float(cells["dose_per_fraction"]), int(float(cells["fractions"]))
        except (ValueError, OverflowError) as why:
            raise BadInput(
                _("{label}: dose and fractions are numbers.").format(label=one.label.here)
            ) from why
        readable(cells["target"], one.label.here)
        good = cells["target"] and len(cells["target"]) <= 64 and 0 < dose <= 100 and 1 <= fractions <= 100
        if not good:
            raise BadInput(
                _("{label}: each row has a target, 0 to 100 Gy a fraction and 1 to 100 fractions.").format(
                    label=one.label.here
                )
            )
        rows.append({"target": cells["target"], "dose_per_fraction": dose, "fractions": fractions})
    return rows
