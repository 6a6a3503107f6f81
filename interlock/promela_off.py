"""A Promela model of switching beam off, made from its table and a site's stages, for spin.

The permit comes and goes, confirmations come or stay out, deadlines pass and people reset in any order. An
observer with a count of its own (`missed`) asserts after every event what must be off.
"""

from collections.abc import Mapping

from interlock.beam_off import TABLE, OffEvent, OffState, stage_masks
from interlock.table import Matrix

_GUARDS: Mapping[OffEvent, str] = {
    OffEvent.RISE: "permitted",
    OffEvent.FALL: "!permitted",
    OffEvent.CONFIRMED: "level == 0 && confirmed[0]",
    OffEvent.CONFIRMED_LATER: "level > 0 && confirmed[level]",
    OffEvent.LATE: "level + 1 < STAGES && !confirmed[level]",
    OffEvent.LAST_LATE: "level + 1 == STAGES && !confirmed[level]",
    OffEvent.RESET: "confirmed[0]",
}
_EFFECTS: Mapping[OffEvent, str] = {
    OffEvent.FALL: "level = 0; missed = 0;",
    OffEvent.LATE: "level = level + 1; missed = missed + 1;",
    OffEvent.LAST_LATE: "missed = missed + 1;",
    OffEvent.RESET: "level = 0; missed = 0;",
}


def model(matrix: Matrix) -> str:
    """The Promela text. The table needs one beam-off stage at least; raises ValueError without."""
    if not matrix.beam_off:
        raise ValueError(f"table {matrix.name} has no beam_off stages: there is nothing to model")
    every = (1 << len(matrix.outputs)) - 1
    moves = "\n".join(
        f"  :: d_step {{ (off == {state.name} && {_GUARDS[event]}) -> was = off; off = {after.name}; "
        f"{_EFFECTS.get(event, '')} hold(); observe({'true' if event is OffEvent.RESET else 'false'}); }}"
        for state, row in TABLE.items()
        for event, after in row.items()
    )
    holds = "\n".join(
        f"  :: (off == AWAITING || off == HELD) && level == {level} -> held = {mask};"
        for level, mask in enumerate(stage_masks(matrix))
    )
    world = "\n".join(f"  :: confirmed[{k}] = !confirmed[{k}]" for k in range(len(matrix.beam_off)))
    return f"""#define STAGES {len(matrix.beam_off)}
#define EVERY {every}
mtype = {{ {", ".join(state.name for state in OffState)} }};
mtype off = OFF, was = OFF;
byte level, missed;
bool permitted, confirmed[STAGES];
int held, before;
inline hold() {{
  before = held;
  if
{holds}
  :: off == DOWN -> held = EVERY;
  :: else -> held = 0;
  fi
}}
inline observe(reset) {{
  assert(missed <= STAGES);
  assert(missed < STAGES || (off == DOWN && held == EVERY));
  assert(missed == 0 || reset || (before & ~held) == 0);
  assert(missed == 0 || off == AWAITING || off == HELD || off == DOWN);
  assert((was != HELD && was != DOWN) || reset);
}}
active proctype Sequence() {{
  do
{moves}
  od
}}
active proctype World() {{
  do
  :: permitted = !permitted
{world}
  od
}}
"""
