"""What a PhysicsBeam may do, by the state of the beam hardware: a table."""

from collections.abc import Mapping

from common.errors import Refused
from common.text import _

RUNNING = frozenset({"Hold", "Terminate"})
STEPS: Mapping[str, frozenset[str]] = {
    "IDLE": frozenset({"Load", "Ready"}),
    "LOADED": frozenset({"Load", "Ready", "Start", "Terminate", "Unload"}),
    "SWITCHING": RUNNING,
    "DELIVERING": RUNNING,
    "HELD": frozenset({"Load", "Ready", "Resume", "Terminate", "Unload"}),
    "TRIPPED": frozenset({"Load", "Ready", "Terminate", "Unload"}),
    "COMPLETE": frozenset({"Load", "Ready", "Unload"}),
    "TERMINATED": frozenset({"Load", "Ready", "Unload"}),
}
"""State of the beam hardware -> commands. `Ready` brings the last map back to LOADED, its counters at zero.

From TRIPPED the interlock's reset leads to HELD; Load and Ready give the tripped map up instead. Hold does
nothing where beam has ended already, as in the hardware.
"""

ENDED = frozenset({"HELD", "TRIPPED", "COMPLETE", "TERMINATED"})


def check_step(state: str, step: str) -> None:
    """Raise Refused unless a command may be given in a state; the reason names those that may."""
    allowed = STEPS.get(state, frozenset())
    if step in allowed or (step == "Hold" and state in ENDED):
        return
    text = _("{step} is not possible while the beam hardware is {state}: allowed are {allowed}")
    raise Refused(text.format(step=step, state=state or "?", allowed=", ".join(sorted(allowed)) or "-"))
