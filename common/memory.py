"""Whether what is wanted fits into memory, asked before time is spent."""

import os
from pathlib import Path

from common.errors import BadInput
from common.text import _

_SPARE = 0.9


def available() -> int:
    """Bytes that can be had without swapping; all physical memory where the system does not tell."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass  # not Linux, or a container that hides it
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def allowance() -> int:
    """Bytes that one thing may take: 0.9 of what is available."""
    return int(_SPARE * available())


def require(size: int, what: str, limit: int | None = None) -> None:
    """Raise BadInput when `what` needs more than `limit` bytes (default: `allowance`)."""
    allowed = allowance() if limit is None else limit
    if size > allowed:
        raise BadInput(
            _(
                "not enough memory: {what} needs {need} GB, {have} GB can be had; "
                "take a coarser grid or a smaller part, or free memory"
            ).format(what=what, need=f"{size / 1e9:.2f}", have=f"{allowed / 1e9:.2f}")
        )
