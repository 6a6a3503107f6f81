"""The accelerator toolbox (PyAT), imported without its drawing half.

PyAT draws with matplotlib where it finds it; a plant never draws, and without it starts 0.4 s sooner and is
20 MB smaller. PyAT itself provides for an absent matplotlib (`at/plot/__init__.py`), by a notice on stdout.
"""

import contextlib
import io
import sys

if "matplotlib" in sys.modules:
    import at
else:
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # what an import takes for "not installed"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import at
    finally:
        del sys.modules["matplotlib"]
from at.tracking.atpass import atpass

__all__ = ["at", "atpass"]
