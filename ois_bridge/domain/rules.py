"""Search conditions that a user combines: field, operator and value, all or any of them, nested one level."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.course_states import CourseState
from ois_bridge.domain.words import N_, SEX

MOST_RULES = 20
LONGEST = 120
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

SOURCE: Mapping[str, str] = {"outpatient": N_("outpatient"), "inpatient": N_("inpatient")}
STATE: Mapping[str, str] = {state.name: state.value for state in CourseState}

TEXT_OPERATORS = {
    "is": N_("is"), "contains": N_("contains"), "begins": N_("begins with"), "is not": N_("is not"),
    "empty": N_("is empty"), "filled": N_("is filled in"),
}  # fmt: skip
CODE_OPERATORS = {"is": N_("is"), "is not": N_("is not")}
DATE_OPERATORS = {"is": N_("is"), "from": N_("from"), "until": N_("until")}
OPERATORS: Mapping[str, Mapping[str, str]] = {
    "text": TEXT_OPERATORS, "code": CODE_OPERATORS, "date": DATE_OPERATORS, "one": {"is": N_("is")}
}  # fmt: skip
"""Kind of a field -> its operators, with their texts."""


@dataclass(frozen=True)
class Field:
    """One feature to search by. `of`: patient, course, visit or form. `choices`: code -> text where it has
    few; those of the kind `one` are the department's own and stand in its database.
    """

    text: str
    kind: str
    of: str
    choices: Mapping[str, str] | None = None


FIELDS: Mapping[str, Field] = {
    "patient_id": Field(N_("Patient ID"), "text", "patient"),
    "name": Field(N_("Name"), "text", "patient"),
    "id_card": Field(N_("Id card"), "text", "patient"),
    "hospital_number": Field(N_("Hospital number"), "text", "patient"),
    "barcode": Field(N_("Barcode"), "text", "patient"),
    "phone": Field(N_("Phone"), "text", "patient"),
    "sex": Field(N_("Sex"), "code", "patient", SEX),
    "birth_date": Field(N_("Birth date"), "date", "patient"),
    "registered": Field(N_("Registered"), "date", "patient"),
    "source": Field(N_("Source"), "code", "course", SOURCE),
    "ward": Field(N_("Ward"), "text", "course"),
    "diagnosis": Field(N_("Diagnosis"), "text", "course"),
    "icd11": Field("ICD-11", "text", "course"),
    "icd10": Field("ICD-10", "text", "course"),
    "stage": Field(N_("Stage"), "text", "course"),
    "technique": Field(N_("Technique"), "text", "course"),
    "physician": Field(N_("Doctor in charge"), "text", "course"),
    "state": Field(N_("State of the course"), "code", "course", STATE),
    "charging": Field(N_("Charging"), "text", "course"),
    "device": Field(N_("Device of a visit"), "one", "visit"),
    "visit": Field(N_("Day of a visit"), "date", "visit"),
    "form": Field(N_("Text in forms"), "text", "form"),
}


@dataclass(frozen=True)
class Rule:
    """One condition."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True)
class Group:
    """Conditions that must all hold, or any of them."""

    every: bool
    items: tuple["Rule | Group", ...]


def read(content: object, depth: int = 0) -> Group:
    """A group from its JSON form {"match": "all" or "any", "rules": [...]}, whose rules are
    {"field", "op", "value"} or, one level deep, groups. Incomplete rules (no value yet) are left out.

    Raises BadInput for a field, an operator or a value that is not allowed.
    """
    if not isinstance(content, Mapping) or content.get("match") not in ("all", "any"):
        raise BadInput(_("Rules: a group needs to match all or any."))
    rows = content.get("rules")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) > MOST_RULES:
        raise BadInput(_("Rules: at most {n} in a group are allowed.").format(n=MOST_RULES))
    items: list[Rule | Group] = []
    for row in rows:
        if isinstance(row, Mapping) and "rules" in row:
            if depth:
                raise BadInput(_("Rules: groups may stand in the outermost group only."))
            inner = read(row, depth + 1)
            items += [inner] if inner.items else []
        else:
            rule = _rule(row)
            items += [rule] if rule.value or rule.operator in ("empty", "filled") else []
    return Group(content["match"] == "all", tuple(items))


def _rule(row: object) -> Rule:
    if not isinstance(row, Mapping):
        raise BadInput(_("Rules: each needs a field, an operator and a value."))
    name, operator, value = (str(row.get(part, "")).strip() for part in ("field", "op", "value"))
    field = FIELDS.get(name)
    if field is None or operator not in OPERATORS[field.kind] or not _is_text(value):
        raise BadInput(_("Rules: a field or operator that does not exist, or a value that is too long."))
    if field.of == "form" and operator != "contains":
        raise BadInput(_("Rules: the text in forms can only be asked for what it contains."))
    if value and field.choices is not None and value not in field.choices:
        raise BadInput(_("Rules: {field} has no such value.").format(field=_(field.text)))
    if value and field.kind == "date" and not _DAY.fullmatch(value):
        raise BadInput(_("Rules: {field} needs a date as YYYY-MM-DD.").format(field=_(field.text)))
    return Rule(name, operator, value)


def _is_text(value: str) -> bool:
    return len(value) <= LONGEST and value.isprintable()


def written(group: Group) -> dict[str, Any]:
    """A group in its JSON form."""
    return {
        "match": "all" if group.every else "any",
        "rules": [
            written(item)
            if isinstance(item, Group)
            else {"field": item.field, "op": item.operator, "value": item.value}
            for item in group.items
        ],
    }
