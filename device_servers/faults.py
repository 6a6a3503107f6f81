"""Names of the fault codes: one table per class. Code 0 is no fault, code n the n-th name."""

import math
from collections.abc import Mapping

from common.text import _

SUPPLY = ("overcurrent", "overtemperature", "regulation", "interlock", "communication")
FAULTS: Mapping[str, tuple[str, ...]] = {
    "MagnetSupply": SUPPLY,
}
"""Class -> names of codes 1, 2, ... (the plant's families have the same codes)."""


def fault_text(code: float, tango_class: str = "MagnetSupply") -> str:
    """Name of a fault code of a class; the number itself for one that the table does not name."""
    if not math.isfinite(code):
        return _("unknown")
    index = int(code)
    if index == 0:
        return _("no fault")
    names = FAULTS.get(tango_class, ())
    return _(names[index - 1]) if 0 < index <= len(names) else str(index)
