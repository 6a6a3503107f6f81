"""The cause-and-effect matrix: which bad input takes the permit of which output, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from common.authority import ROLES
from common.clock import ticks
from common.errors import BadConfig
from common.site import load_checked


class Family(StrEnum):
    """Whom or what an input protects."""

    PATIENT = "patient"
    PERSONNEL = "personnel"
    EQUIPMENT = "equipment"


class Kind(StrEnum):
    """What a bad input means."""

    FAULT = "fault"
    REQUEST = "request"
    """Nobody asks for beam: no permit, and no fault."""
    KEY = "key"
    """A key switch that chooses a mode; it cuts nothing."""


class Latch(StrEnum):
    """When a bad input stays tripped after it is good again."""

    ALWAYS = "always"
    ARMED = "armed"
    """... if it goes bad while beam is requested."""
    NEVER = "never"


@dataclass(frozen=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Output:
    """One permit. Its actuator has ended its travel `off_us` microseconds after the permit is lost."""

    name: str
    off_us: float
    text: Text


@dataclass(frozen=True)
class Input:
    """One row. `cuts` names the outputs that lose their permit; `signal` the plant channel it reads."""

    name: str
    family: Family
    kind: Kind
    latch: Latch
    maskable: bool
    cuts: frozenset[str]
    text: Text
    signal: str = ""


@dataclass(frozen=True)
class SearchPlan:
    """One room's search: buttons in order within `walk_ticks`, then the door within `close_ticks`."""

    room: str
    input: str
    buttons: tuple[str, ...]
    walk_ticks: int
    close_ticks: int


@dataclass(frozen=True)
class Matrix:
    """A checked table. Row order is the priority among causes of one tick.

    `reset_roles` and `mask_roles`: family -> roles with that right (no entry: nobody).
    """

    name: str
    title: Text
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...]
    arming: frozenset[str]
    service_key: str
    fast_output: str
    mask_limit_ticks: int
    unmaskable: frozenset[Family]
    reset_roles: Mapping[Family, frozenset[str]]
    mask_roles: Mapping[Family, frozenset[str]]
    searches: tuple[SearchPlan, ...]

    def input(self, name: str) -> Input:
        """The row of that name. Raises KeyError."""
        for row in self.inputs:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of all rows, in order."""
        return tuple(row.name for row in self.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.outputs)

    @property
    def signals(self) -> dict[str, str]:
        """Input name -> plant channel, for the rows that read one."""
        return {row.name: row.signal for row in self.inputs if row.signal}


def load(path: Path) -> Matrix:
    """Read and check a matrix file. Raises BadConfig naming the place and what is allowed there."""
    matrix = from_content(load_checked(path, "interlock"))
    complaint = next(complaints(matrix), None)
    if complaint is not None:
        raise BadConfig(f"{path.name}: {complaint}")
    return matrix


def from_content(content: Mapping[str, Any]) -> Matrix:
    """The matrix of a schema-checked content; `complaints` has yet to be asked."""
    authority = content["authority"]
    return Matrix(
        name=content["matrix"],
        title=Text(**content["title"]),
        outputs=tuple(Output(o["name"], float(o["off_us"]), Text(**o["text"])) for o in content["outputs"]),
        inputs=tuple(_input(row) for row in content["inputs"]),
        arming=frozenset(content["arming"]),
        service_key=content["service_key"],
        fast_output=content["fast_output"],
        mask_limit_ticks=ticks(float(content["mask_limit_s"])),
        unmaskable=frozenset(Family(name) for name in content["unmaskable_families"]),
        reset_roles={Family(key): frozenset(roles) for key, roles in authority["reset"].items()},
        mask_roles={Family(key): frozenset(roles) for key, roles in authority["mask"].items()},
        searches=tuple(_search(row) for row in content["search"]),
    )


def complaints(matrix: Matrix) -> Iterator[str]:
    """What the schema cannot see: names that do not fit each other, and rows without effect."""
    yield from _repeated("output", matrix.output_names)
    yield from _repeated("input", matrix.input_names)
    inputs, outputs = set(matrix.input_names), set(matrix.output_names)
    used = [*matrix.arming, matrix.service_key, *(plan.input for plan in matrix.searches)]
    yield from (f"unknown input {name}: it must be a row of `inputs`" for name in used if name not in inputs)
    if matrix.fast_output not in outputs:
        yield f"unknown output {matrix.fast_output}: allowed are {', '.join(matrix.output_names)}"
    for row in matrix.inputs:
        yield from _row_complaints(matrix, row, outputs)
    for roles in (*matrix.reset_roles.values(), *matrix.mask_roles.values()):
        yield from (f"unknown role {r}: allowed are {', '.join(ROLES)}" for r in sorted(roles - set(ROLES)))


def _row_complaints(matrix: Matrix, row: Input, outputs: set[str]) -> Iterator[str]:
    for name in sorted(row.cuts - outputs):
        yield f"input {row.name} cuts unknown output {name}: allowed are {', '.join(matrix.output_names)}"
    if row.maskable and row.family in matrix.unmaskable:
        yield f"input {row.name} is of family {row.family} and maskable: that family is never masked"
    if row.kind is Kind.FAULT and matrix.fast_output not in row.cuts:
        yield f"input {row.name} does not cut {matrix.fast_output}: every fault must"
    if row.kind is not Kind.FAULT and (row.maskable or row.latch is not Latch.NEVER):
        yield f"input {row.name} is a {row.kind}: it must be unlatched and not maskable"
    if (row.name == matrix.service_key) != (row.kind is Kind.KEY):
        yield f"input {row.name}: the service key, and it alone, is of kind key"
    if row.kind is Kind.KEY and row.cuts:
        yield f"input {row.name} is a key: it cuts nothing"
    if row.name in matrix.arming and row.kind is not Kind.REQUEST:
        yield f"input {row.name} arms the latches: it must be a request"


def _repeated(what: str, names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{what} named twice: {name}" for name in sorted({n for n in names if names.count(n) > 1}))


def _input(row: Mapping[str, Any]) -> Input:
    return Input(
        name=row["name"],
        family=Family(row["family"]),
        kind=Kind(row.get("kind", "fault")),
        latch=Latch(row["latch"]),
        maskable=row["maskable"],
        cuts=frozenset(row["cuts"]),
        text=Text(**row["text"]),
        signal=row.get("signal", ""),
    )


def _search(row: Mapping[str, Any]) -> SearchPlan:
    return SearchPlan(
        room=row["room"],
        input=row["input"],
        buttons=tuple(row["buttons"]),
        walk_ticks=ticks(float(row["walk_s"])),
        close_ticks=ticks(float(row["close_s"])),
    )
