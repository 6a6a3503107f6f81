"""Compiled code on disk that no longer fits its sources.

numba keeps compiled functions by the date of their own file and does not notice that a function which they
call, in another file, has changed. These modules call each other: when any is newer, all are compiled anew.
"""

from contextlib import suppress
from pathlib import Path


def discard_stale(folder: Path, cache: Path) -> int:
    """Remove numba's index files of the modules in `folder` from `cache` when a source is newer; how many."""
    sources = list(folder.glob("*.py"))
    newest = max(source.stat().st_mtime for source in sources)
    removed = 0
    for source in sources:
        for index in cache.glob(f"{source.stem}.*.nbi"):
            with suppress(
                OSError
            ):  # another process was faster, or the folder is read-only and nothing is kept
                if index.stat().st_mtime <= newest:
                    index.unlink()
                    removed += 1
    return removed
