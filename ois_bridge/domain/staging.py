"""Staging tables (TNM, FIGO, CNLC, ...): what may be chosen, and the stage group that follows from it.

The tables are data (config/department/staging.yaml), each with its source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.errors import BadConfig, BadInput
from common.text import _

Texts = Mapping[str, str]
"""A text by language: en, zh."""

UNKNOWN = frozenset({"TX", "NX", "PSAX", "GGX"})
"""Categories that were not assessed: no group follows from them, and that is no contradiction."""


@dataclass(frozen=True)
class Axis:
    """One thing that is chosen. `texts` explains some of the values."""

    name: str
    values: tuple[str, ...]
    texts: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A stage and the values that make it; an axis that is not named may have any value."""

    stage: str
    wanted: Mapping[str, frozenset[str]]

    def fits(self, choice: Mapping[str, str]) -> bool:
        """Whether a choice belongs here."""
        return all(choice.get(axis) in values for axis, values in self.wanted.items())


@dataclass(frozen=True)
class Table:
    """A staging table. Without groups its stage is what was chosen."""

    name: str
    title: Texts
    source: str
    axes: tuple[Axis, ...]
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A stage as it is kept and shown. `group` is empty where the table has none for the choice."""

    table: str
    choice: Mapping[str, str]
    group: str

    @property
    def text(self) -> str:
        """T2a N1 M0 · IIB."""
        chosen = " ".join(self.choice.values())
        return f"{chosen} · {self.group}" if self.group and self.group != chosen else chosen


def parse(content: Sequence[Mapping[str, object]]) -> dict[str, Table]:
    """Tables by name, from a file that has passed its schema. Raises BadConfig for contradictions."""
    tables: dict[str, Table] = {}
    for row in content:
        table = _table(row)
        if table.name in tables:
            raise BadConfig(f"staging table {table.name}: given twice")
        tables[table.name] = table
    return tables


def _table(row: Mapping[str, object]) -> Table:
    axes = tuple(_axis(one) for one in _rows(row["axes"]))
    known = {axis.name: frozenset(axis.values) for axis in axes}
    groups = []
    for one in _rows(row.get("groups", [])):
        wanted = {key: frozenset(_texts(value)) for key, value in one.items() if key != "stage"}
        for name, values in wanted.items():
            if name not in known or not values <= known[name]:
                raise BadConfig(f"staging table {row['id']}: group {one['stage']} names an unknown {name}")
        groups.append(Group(str(one["stage"]), wanted))
    return Table(str(row["id"]), _text(row["name"]), str(row["source"]), axes, tuple(groups))


def _axis(row: Mapping[str, object]) -> Axis:
    texts = row.get("texts", {})
    assert isinstance(texts, Mapping)
    values = tuple(_texts(row["values"]))
    unknown = set(texts) - set(values)
    if unknown:
        raise BadConfig(f"staging axis {row['id']}: texts for unknown values {', '.join(sorted(unknown))}")
    return Axis(str(row["id"]), values, {str(key): _text(value) for key, value in texts.items()})


def _rows(value: object) -> Sequence[Mapping[str, object]]:
    assert isinstance(value, Sequence)
    return value


def _texts(value: object) -> Sequence[str]:
    assert isinstance(value, Sequence)
    return [str(one) for one in value]


def _text(value: object) -> Texts:
    assert isinstance(value, Mapping)
    return {str(key): str(text) for key, text in value.items()}


def staged(table: Table, choice: Mapping[str, str], stated_group: str = "") -> Stage:
    """The stage of a choice. Raises BadInput for a missing or unknown value, and for a stated group that is
    not the one the table gives.
    """
    kept: dict[str, str] = {}
    for axis in table.axes:
        value = choice.get(axis.name, "")
        if value not in axis.values:
            raise BadInput(
                _("{axis}: choose one of {values}.").format(axis=axis.name, values=", ".join(axis.values))
            )
        kept[axis.name] = value
    group = _group(table, kept)
    if stated_group and stated_group != group:
        raise BadInput(
            _("{chosen} is stage {group} by this table, not {stated}.").format(
                chosen=" ".join(kept.values()), group=group or _("none"), stated=stated_group
            )
        )
    return Stage(table.name, kept, group)


def _group(table: Table, choice: Mapping[str, str]) -> str:
    if not table.groups:
        return " ".join(choice.values()) if len(table.axes) == 1 else ""
    return next((group.stage for group in table.groups if group.fits(choice)), "")


def unassessed(stage: Stage) -> bool:
    """Whether no group follows because something was not assessed."""
    return not stage.group and bool(UNKNOWN & set(stage.choice.values()))
