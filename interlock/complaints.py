"""What a table's schema cannot see: names that do not fit each other, and rows or stages without sense."""

from collections.abc import Iterator

from common.authority import ROLES
from common.clock import seconds
from interlock.table import ISOLATED, Input, Kind, Latch, Matrix

RESERVED = ("self_test", "beam_off")
"""Names by which the interlock tells that no input withholds a permit, but a test or a beam-off."""


def complaints(matrix: Matrix) -> Iterator[str]:
    """Every contradiction of a table, as a sentence."""
    yield from _repeated("output", matrix.output_names)
    yield from _repeated("input", matrix.input_names)
    inputs, outputs = set(matrix.input_names), set(matrix.output_names)
    used = [*sorted(matrix.arming), matrix.service_key, *(plan.input for plan in matrix.searches)]
    yield from (f"unknown input {name}: it must be a row of `inputs`" for name in used if name not in inputs)
    if matrix.fast_output not in outputs:
        yield f"unknown output {matrix.fast_output}: allowed are {', '.join(matrix.output_names)}"
    for row in matrix.inputs:
        yield from _row_complaints(matrix, row, outputs)
        yield from _right_complaints(matrix, row)
        yield from _room_complaints(matrix, row)
    yield from _stage_complaints(matrix)
    for roles in (*matrix.reset_roles.values(), *matrix.mask_roles.values()):
        yield from (f"unknown role {r}: allowed are {', '.join(ROLES)}" for r in sorted(roles - set(ROLES)))


def _row_complaints(matrix: Matrix, row: Input, outputs: set[str]) -> Iterator[str]:
    for name in sorted(row.cuts - outputs):
        yield f"input {row.name} cuts unknown output {name}: allowed are {', '.join(matrix.output_names)}"
    if row.kind is Kind.FAULT and matrix.fast_output not in row.cuts:
        yield f"input {row.name} does not cut {matrix.fast_output}: every fault must"
    if row.name in RESERVED:
        yield f"input {row.name}: this name is reserved; choose another"
    if row.paired and row.signals[0] == row.signals[1]:
        yield f"input {row.name} compares {row.signals[0]} with itself: name two channels"
    if row.paired and row.discrepancy_ticks <= 0:
        yield f"input {row.name} compares two signals: give discrepancy_ms, of the table or of the row"


def _right_complaints(matrix: Matrix, row: Input) -> Iterator[str]:
    if row.maskable and row.family in matrix.unmaskable:
        yield f"input {row.name} is of family {row.family} and maskable: that family is never masked"
    if row.kind is not Kind.FAULT and (row.maskable or row.latch is not Latch.NEVER):
        yield f"input {row.name} is a {row.kind}: it must be unlatched and not maskable"
    if (row.name in matrix.keys) != (row.kind is Kind.KEY):
        yield (
            f"input {row.name}: the service key and the keys ROOM{ISOLATED} of rooms, and they alone, "
            "is of kind key"
        )
    if row.kind is Kind.KEY and row.cuts:
        yield f"input {row.name} is a key: it cuts nothing"
    if row.name in matrix.arming and row.kind is not Kind.REQUEST:
        yield f"input {row.name} arms the latches: it must be a request"


def _room_complaints(matrix: Matrix, row: Input) -> Iterator[str]:
    if not row.room:
        return
    if row.room not in matrix.rooms:
        allowed = ", ".join(matrix.rooms) or "none (no output has a room)"
        yield f"input {row.name} is in unknown room {row.room}: allowed are {allowed}"
        return
    if row.kind is Kind.KEY:
        yield f"input {row.name} is a key: it has no room"
        return
    own = {column.name for column in matrix.outputs if column.room == row.room}
    if not own & row.cuts:
        yield f"input {row.name} is in {row.room} and cuts none of its outputs: name {', '.join(sorted(own))}"
    if row.room not in matrix.isolation_keys:
        yield f"input {row.name} is in {row.room}: add the key {row.room}{ISOLATED}, or leave out its room"


def _stage_complaints(matrix: Matrix) -> Iterator[str]:
    names = [name for stage in matrix.beam_off for name in sorted(stage.outputs)]
    yield from _repeated("beam_off output", tuple(names))
    travel = {column.name: column.off_us for column in matrix.outputs}
    for name in names:
        if name not in travel:
            yield f"beam_off names unknown output {name}: allowed are {', '.join(matrix.output_names)}"
            return
    if matrix.beam_off and matrix.fast_output not in matrix.beam_off[0].outputs:
        yield f"beam_off does not begin with {matrix.fast_output}: the fast output comes first"
    slowest = 0.0
    for stage in matrix.beam_off:
        takes = max(travel[name] for name in stage.outputs)
        shown = ", ".join(sorted(stage.outputs))
        if seconds(stage.within_ticks) * 1e6 < takes:
            yield f"beam_off {shown}: within_us is shorter than the {takes:g} us of its actuator"
        if takes < slowest:
            yield f"beam_off {shown} is faster than the stage before it: order the stages by off_us"
        slowest = takes


def _repeated(what: str, names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{what} named twice: {name}" for name in sorted({n for n in names if names.count(n) > 1}))
