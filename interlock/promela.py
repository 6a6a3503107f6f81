"""A Promela model of scan, latch, reset, mask and room search, made from a site's table, for spin.

The proofs (proofs.py) look at one step with any memory; spin looks at every order in which inputs
change, people act and the hardware scans. One row stands for all rows that behave alike. An observer
with a memory of its own (`seen`) asserts after every scan what must hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from interlock.search import TABLE, RoomState
from interlock.table import Input, Kind, Latch, Matrix


@dataclass(frozen=True)
class _Model:
    """The rows that are modelled; a row's number is its place."""

    matrix: Matrix
    rows: tuple[Input, ...]

    def number(self, name: str) -> int:
        return [row.name for row in self.rows].index(name)

    @property
    def key(self) -> int:
        return self.number(self.matrix.service_key)

    @property
    def requests(self) -> list[int]:
        return [i for i, row in enumerate(self.rows) if row.name in self.matrix.arming]

    @property
    def search(self) -> int:
        return self.number(self.matrix.searches[0].input)

    def latching(self, i: int) -> str:
        """When row i latches, as an expression; "" for never."""
        return {
            Latch.ALWAYS: "true",
            Latch.ARMED: "(armed || armed_before)",
            Latch.NEVER: "",
        }[self.rows[i].latch]


def representatives(matrix: Matrix) -> tuple[Input, ...]:
    """One row of each kind of behaviour, besides requests, key and the first room's search."""
    special = {matrix.service_key, *matrix.arming, matrix.searches[0].input}
    kinds: dict[tuple[object, ...], Input] = {}
    for row in matrix.inputs:
        if row.kind is Kind.FAULT and row.name not in special:
            kinds.setdefault((row.family, row.latch, row.maskable), row)
    return (*kinds.values(), *(row for row in matrix.inputs if row.name in special))


def model(matrix: Matrix) -> str:
    """The Promela text. The matrix needs one room search at least."""
    m = _Model(matrix, representatives(matrix))
    parts = [_declarations(m), _scan(m), _observer(m), _people(m), _world(m), _room(m)]
    return "\n".join(parts)


def _declarations(m: _Model) -> str:
    rows = "\n".join(f"/* row {i}: {row.name} */" for i, row in enumerate(m.rows))
    outputs = "\n".join(f"/* permit {i}: {name} */" for i, name in enumerate(m.matrix.output_names))
    states = ", ".join(state.name for state in RoomState)
    return f"""{rows}
{outputs}
#define ROWS {len(m.rows)}
#define OUTPUTS {len(m.matrix.outputs)}
mtype = {{ {states} }};
mtype room = FREE;
bool good[ROWS], latched[ROWS], masked[ROWS], seen[ROWS], armed;
hidden byte permit[OUTPUTS], armed_before;
"""


def _scan(m: _Model) -> str:
    lines = ["inline scan() {", "  armed_before = armed;"]
    lines.append("  armed = " + " || ".join(f"good[{i}]" for i in m.requests) + ";")
    for i, row in enumerate(m.rows):
        if row.maskable:
            lines.append(f"  masked[{i}] = masked[{i}] && good[{m.key}];")
    for i, _row in enumerate(m.rows):
        if m.latching(i):
            lines.append(f"  latched[{i}] = latched[{i}] || (!good[{i}] && !masked[{i}] && {m.latching(i)});")
    for number, output in enumerate(m.matrix.output_names):
        sound = [
            f"((good[{i}] && !latched[{i}]) || masked[{i}])"
            for i, row in enumerate(m.rows)
            if output in row.cuts
        ]
        lines.append(f"  permit[{number}] = {' && '.join(sound) or 'true'};")
    return "\n".join([*lines, "}", ""])


def _observer(m: _Model) -> str:
    """`seen[i]`: the scan has met a cause that has to latch, and nobody has reset it rightly since."""
    lines = ["inline observe() {"]
    for i, row in enumerate(m.rows):
        if m.latching(i):
            lines.append(f"  seen[{i}] = seen[{i}] || (!good[{i}] && !masked[{i}] && {m.latching(i)});")
        lines.append(
            f"  assert(!masked[{i}] || good[{m.key}]);" if row.maskable else f"  assert(!masked[{i}]);"
        )
        for number, output in enumerate(m.matrix.output_names):
            if output in row.cuts:
                lines.append(f"  assert(!permit[{number}] || (good[{i}] && !seen[{i}]) || masked[{i}]);")
    searched = m.rows[m.search]
    for number, output in enumerate(m.matrix.output_names):
        if output in searched.cuts:
            lines.append(f"  assert(!permit[{number}] || room == {RoomState.RADIATION.name});")
    return "\n".join([*lines, "}", "", _process("Hardware", ["d_step { scan(); observe(); }"]), ""])


def _people(m: _Model) -> str:
    """Anybody with any role resets; service staff mask and unmask."""
    roles = sorted(frozenset().union(*m.matrix.reset_roles.values()))
    acts = [f"d_step {{ {' '.join(_resets(m, role))} }}" for role in roles]
    for i, row in enumerate(m.rows):
        if row.maskable and m.matrix.mask_roles.get(row.family):
            acts.append(f"d_step {{ good[{m.key}] -> masked[{i}] = true; }}")
            acts.append(f"d_step {{ masked[{i}] -> masked[{i}] = false; }}")
    return _process("People", acts)


def _resets(m: _Model, role: str) -> Iterator[str]:
    for i, row in enumerate(m.rows):
        if m.latching(i) and role in m.matrix.reset_roles.get(row.family, frozenset()):
            yield f"latched[{i}] = latched[{i}] && !good[{i}]; seen[{i}] = seen[{i}] && !good[{i}];"


def _world(m: _Model) -> str:
    """Every input but the search changes whenever it likes."""
    return _process("World", [f"good[{i}] = !good[{i}]" for i in range(len(m.rows)) if i != m.search])


def _room(m: _Model) -> str:
    acts = [
        f"d_step {{ room == {state.name} -> room = {after.name}; good[{m.search}] = (room == RADIATION); }}"
        for state, row in TABLE.items()
        for after in row.values()
    ]
    return _process("Room", list(dict.fromkeys(acts)))


def _process(name: str, acts: list[str]) -> str:
    lines = "\n".join(f"  :: {act}" for act in acts)
    return f"active proctype {name}() {{\n  do\n{lines}\n  od\n}}\n"
