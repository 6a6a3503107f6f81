"""The table as IEC 61131-3 Structured Text: one function block that a PLC engineer can load.

One call is one scan. Resets and masks arrive as inputs from the operating level, which checks who acts and
for how long, as `Interlock.reset` and `.mask` do. Everything else is in the block: each input has a
variable of its own, the table is in constant arrays (a row's number is its place), loops apply the rules.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from common.clock import TICK_NS
from interlock.beam_off import OffState, stage_masks
from interlock.table import Family, Input, Latch, Matrix


class _Symbols:
    """Legal identifiers: letters, digits, single underscores; IEC does not tell upper case from lower."""

    def __init__(self, names: Iterable[str]) -> None:
        self._legal: dict[str, str] = {}
        taken: set[str] = set()
        for name in names:
            base = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", name)).strip("_").lower()
            legal, number = base, 1
            while legal in taken:
                number += 1
                legal = f"{base}_{number}"
            taken.add(legal)
            self._legal[name] = legal

    def __getitem__(self, name: str) -> str:
        return self._legal[name]


class Block:
    """The identifiers of a table's function block, for who writes or runs it."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.rows = _Symbols(matrix.input_names)
        self.columns = _Symbols(matrix.output_names)
        self.name = f"FB_Interlock_{re.sub('[^A-Za-z0-9]+', '_', matrix.name)}"

    def channels(self, row: Input) -> tuple[str, ...]:
        """The input variables of a row: one, or two."""
        legal = self.rows[row.name]
        return (f"in_{legal}_ch1", f"in_{legal}_ch2") if row.paired else (f"in_{legal}",)

    def mask(self, row: Input) -> str:
        """The input variable that asks for a row's mask."""
        return f"mask_{self.rows[row.name]}"

    def permit(self, output: str) -> str:
        """The output variable of a permit."""
        return f"permit_{self.columns[output]}"

    def reset(self, family: Family) -> str:
        """The input variable of somebody who may reset a family and does."""
        return f"reset_{family}"

    def confirm(self, level: int) -> str:
        """The input variable of a beam-off stage's confirmation."""
        return f"confirm_stage{level + 1}"

    def maskable(self, row: Input) -> bool:
        """Whether a mask of the row can be asked for at all."""
        return row.maskable and row.family not in self.matrix.unmaskable


def text(matrix: Matrix) -> str:
    """The function block. Identifiers are those of `Block`."""
    b = Block(matrix)
    lines = [
        f"(* {matrix.title.en}: {len(matrix.inputs)} inputs, {len(matrix.outputs)} permits. *)",
        "(* Generated from the cause-and-effect table; change the table, not this text. *)",
        f"FUNCTION_BLOCK {b.name}",
        *_section("VAR_INPUT", _inputs(b)),
        *_section("VAR_OUTPUT", _outputs(b)),
        *_section("VAR", _constants(b)),
        *_section("VAR", _memory(b)),
        *_gathering(b),
        *_rules(b),
        *_holding(b),
        *(f"{b.permit(o.name)} := (lost AND {_hex(1 << i)}) = 16#0;" for i, o in enumerate(matrix.outputs)),
        "END_FUNCTION_BLOCK",
    ]
    return "\n".join(lines) + "\n"


_GOOD = """\
(* what is good, which pairs differ for too long; a reset clears latches whose cause is gone *)
tripped := FALSE;
asked := FALSE;
lost := 16#0;
FOR i := 1 TO {rows} DO
    IF paired[i] THEN
        apart[i](IN := ch1[i] XOR ch2[i], PT := limit[i]);
        late[i] := apart[i].Q;
    END_IF;
    good[i] := ch1[i] AND (ch2[i] OR NOT paired[i]);
    IF good[i] AND reset[family[i]] THEN latch[i] := FALSE; END_IF;
    IF latch[i] THEN tripped := TRUE; END_IF;
    IF good[i] AND arming[i] THEN asked := TRUE; END_IF;
END_FOR;
IF NOT tripped THEN first_fault := 0; END_IF;"""

_LATCHES = """\
(* masks, latches, and the permits that are lost *)
FOR i := 1 TO {rows} DO
    masked[i] := (masked[i] OR NOT mask_before[i]) AND mask[i] AND service;
    mask_before[i] := mask[i];
    fresh := NOT good[i] AND NOT masked[i]
        AND ((latching[i] = 1) OR ((latching[i] = 2) AND (armed[room[i]] OR armed_before[room[i]])));
    IF (fresh OR late[i]) AND NOT latch[i] THEN
        latch[i] := TRUE;
        tripped := TRUE;
        IF first_fault = 0 THEN first_fault := i; END_IF;
    END_IF;
    IF (NOT good[i] OR latch[i]) AND NOT masked[i] THEN
        IF isolated[room[i]] THEN lost := lost OR own[i]; ELSE lost := lost OR cuts[i]; END_IF;
    END_IF;
END_FOR;
FOR i := 0 TO {rooms} DO
    armed_before[i] := armed[i];
END_FOR;"""

_KEYS = """\
(* keys grant only what is good and not latched; room 0 is the machine *)
service := good[{service}] AND NOT latch[{service}] AND NOT late[{service}];
armed[0] := asked;"""

_ROOMS = """\
FOR i := 1 TO {rooms} DO
    isolated[i] := good[key[i]] AND NOT latch[key[i]] AND NOT late[key[i]];
    armed[i] := asked AND NOT isolated[i];
END_FOR;"""

_OFF = """\
(* switching off: a stage is confirmed in time, or the next one is taken: {states} *)
IF reset_patient AND (off_state >= 3) AND confirm_stage1 THEN off_state := 0; END_IF;
off_timer(IN := (off_state = 2), PT := within[off_level]);
IF off_state = 0 THEN
    IF (lost AND {fast}) = 16#0 THEN off_state := 1; END_IF;
ELSIF off_state = 1 THEN
    IF (lost AND {fast}) <> 16#0 THEN off_state := 2; off_level := 1; END_IF;
ELSIF off_state = 2 THEN
    IF off_timer.Q THEN
        off_timer(IN := FALSE, PT := within[off_level]);
        IF off_level < {stages} THEN off_level := off_level + 1; ELSE off_state := 4; END_IF;
    ELSIF confirm[off_level] THEN
        IF off_level = 1 THEN off_state := 0; ELSE off_state := 3; END_IF;
    END_IF;
END_IF;
off_timer(IN := (off_state = 2), PT := within[off_level]);
IF (off_state = 2) OR (off_state = 3) THEN lost := lost OR held[off_level]; END_IF;
IF off_state = 4 THEN lost := lost OR {every}; END_IF;"""


def _section(head: str, names: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    yield head
    for name, kind, why in names:
        note = f"  (* {why.replace('*)', ')')} *)" if why else ""
        yield f"    {name} : {kind};{note}"
    yield "END_VAR"


def _inputs(b: Block) -> Iterator[tuple[str, str, str]]:
    for number, row in enumerate(b.matrix.inputs, 1):
        for channel in b.channels(row):
            yield channel, "BOOL", f"{number} {row.name}, when FALSE: {row.text.en}"
    for family in Family:
        yield b.reset(family), "BOOL", f"somebody who may reset the {family} family does"
    for row in b.matrix.inputs:
        if b.maskable(row):
            yield b.mask(row), "BOOL", "a mask is in force at the operating level"
    for level, stage in enumerate(b.matrix.beam_off):
        yield b.confirm(level), "BOOL", f"confirmed: {stage.confirm}"
    if b.matrix.self_test_ticks:
        yield "self_tested", "BOOL", "a passed self-test is younger than the table asks"


def _outputs(b: Block) -> Iterator[tuple[str, str, str]]:
    for output in b.matrix.outputs:
        yield b.permit(output.name), "BOOL", output.text.en
    yield "tripped", "BOOL", "some input is latched"
    yield "first_fault", "INT", "number of the row that tripped first; 0: none"


def _constants(b: Block) -> Iterator[tuple[str, str, str]]:
    """The table; a row that spares other rooms' outputs has `own` for what it cuts while isolated."""
    rows, keys = b.matrix.inputs, b.matrix.isolation_keys
    rooms = {room: place for place, room in enumerate(keys, 1)}
    families, latches = list(Family), [Latch.NEVER, Latch.ALWAYS, Latch.ARMED]
    of = {output.name: output.room for output in b.matrix.outputs}

    def bits(names: Iterable[str]) -> str:
        wanted = set(names)
        return _hex(sum(1 << i for i, name in enumerate(b.matrix.output_names) if name in wanted))

    def flags(values: Iterable[bool]) -> Iterator[str]:
        return (str(value).upper() for value in values)

    def spares(row: Input) -> str:
        return bits(name for name in row.cuts if row.room in ("", of[name]))

    kinds = "1 " + ", ".join(families)
    yield _array("family", "INT", (str(families.index(row.family) + 1) for row in rows), kinds)
    kinds = "0 never, 1 always, 2 armed"
    yield _array("latching", "INT", (str(latches.index(row.latch)) for row in rows), kinds)
    kinds = ", ".join(["0 machine", *(f"{place} {room}" for room, place in rooms.items())])
    yield _array("room", "INT", (str(rooms.get(row.room, 0)) for row in rows), kinds)
    yield _array("paired", "BOOL", flags(row.paired for row in rows), "two channels")
    yield _array("arming", "BOOL", flags(row.name in b.matrix.arming for row in rows), "requests")
    yield _array("limit", "TIME", (_time(row.discrepancy_ticks) for row in rows), "to agree")
    yield _array("cuts", "DWORD", (bits(row.cuts) for row in rows), "bit 0: the first permit")
    yield _array("own", "DWORD", map(spares, rows), "... while the room is isolated")
    if keys:
        yield _array("key", "INT", (str(_number(b, key)) for key in keys.values()), "of each room")
    if b.matrix.beam_off:
        yield _array("held", "DWORD", map(_hex, stage_masks(b.matrix)), "by a stage and those before")
        yield _array("within", "TIME", (_time(stage.within_ticks) for stage in b.matrix.beam_off), "")


def _memory(b: Block) -> Iterator[tuple[str, str, str]]:
    rows, rooms = f"ARRAY [1..{len(b.matrix.inputs)}] OF", f"ARRAY [0..{len(b.matrix.isolation_keys)}] OF"
    for name in ("ch1", "ch2", "good", "late", "latch", "mask", "mask_before", "masked"):
        yield name, f"{rows} BOOL", ""
    yield "apart", f"{rows} TON", "how long two channels differ"
    yield from ((name, f"{rooms} BOOL", "") for name in ("isolated", "armed", "armed_before"))
    yield "reset", "ARRAY [1..3] OF BOOL", ""
    yield from ((name, "BOOL", "") for name in ("service", "asked", "fresh"))
    yield "lost", "DWORD", "permits that are lost"
    yield "i", "INT", ""
    if b.matrix.beam_off:
        yield "confirm", f"ARRAY [1..{len(b.matrix.beam_off)}] OF BOOL", ""
        yield "off_state", "INT", ", ".join(f"{i} {state}" for i, state in enumerate(OffState))
        yield "off_level", "INT := 1", "the stage that is awaited"
        yield "off_timer", "TON", ""


def _gathering(b: Block) -> Iterator[str]:
    for number, row in enumerate(b.matrix.inputs, 1):
        for place, channel in enumerate(b.channels(row), 1):
            yield f"ch{place}[{number}] := {channel};"
        if b.maskable(row):
            yield f"mask[{number}] := {b.mask(row)};"
    for place, family in enumerate(Family, 1):
        yield f"reset[{place}] := {b.reset(family)};"
    for level in range(len(b.matrix.beam_off)):
        yield f"confirm[{level + 1}] := {b.confirm(level)};"


def _rules(b: Block) -> Iterator[str]:
    sizes = {"rows": len(b.matrix.inputs), "rooms": len(b.matrix.isolation_keys)}
    yield _GOOD.format(**sizes)
    yield _KEYS.format(service=_number(b, b.matrix.service_key))
    if b.matrix.isolation_keys:
        yield _ROOMS.format(**sizes)
    yield _LATCHES.format(**sizes)


def _holding(b: Block) -> Iterator[str]:
    """What is off besides: without a self-test, and until beam is confirmed gone."""
    every = _hex((1 << len(b.matrix.outputs)) - 1)
    if b.matrix.self_test_ticks:
        yield f"IF NOT self_tested THEN lost := lost OR {every}; END_IF;"
    if b.matrix.beam_off:
        fast = _hex(1 << b.matrix.output_names.index(b.matrix.fast_output))
        states = ", ".join(f"{i} {state}" for i, state in enumerate(OffState))
        yield _OFF.format(fast=fast, every=every, stages=len(b.matrix.beam_off), states=states)


def _array(name: str, kind: str, values: Iterable[str], why: str) -> tuple[str, str, str]:
    """A constant array from index 1; runs of one value as `count(value)`."""
    every = list(values)
    runs = ((value, len(list(same))) for value, same in groupby(every))
    shown = ", ".join(f"{count}({value})" if count > 1 else value for value, count in runs)
    return name, f"ARRAY [1..{len(every)}] OF {kind} := [{shown}]", why


def _number(b: Block, name: str) -> int:
    return b.matrix.input_names.index(name) + 1


def _hex(bits: int) -> str:
    return f"16#{bits:X}"


def _time(ticks: int) -> str:
    return f"T#{ticks * TICK_NS / 1e6:.6f}".rstrip("0").rstrip(".") + "ms"
