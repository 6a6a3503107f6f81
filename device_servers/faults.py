"""Names of the fault codes of the wire contract."""

import math

from common.text import _

FAULTS = ("no fault", "overcurrent", "overtemperature", "regulation", "interlock", "communication")


def fault_text(code: float) -> str:
    """Name of a fault code; the number itself for one that the contract does not name."""
    if not math.isfinite(code):
        return _("unknown")
    index = int(code)
    return _(FAULTS[index]) if 0 <= index < len(FAULTS) else str(index)
