"""One attribute over everything in 2000 points, and an hour of samples, from a large archive; JSON lines.

`archive-query-2d`: 2 days x 1000 attributes x 1 Hz; `archive-query-30d`: 30 days x 60 attributes x 1 Hz. Both
are written by the archiver's own store and merged by its own housekeeping, in accelerated time, and a last
hour stays in segments and the open one. Each figure is the median over attributes, each asked once with the
files' pages dropped from memory before (`cold`) and once more (`warm`), in ms of wall and of processor time.
`equal`: the overview equals bins of the samples as they were generated.
`python -m benchmarks.bench_archive_query [FOLDER [DAYS ATTRIBUTES]]`; an archive in FOLDER is used again.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_servers.services.archive.keeper import Keeper, Retention
from device_servers.services.archive.layout import Limits
from device_servers.services.archive.levels import bins_of
from device_servers.services.archive.query import query
from device_servers.services.archive.store import Store

T0 = 1_798_761_600.0
"""2027-01-01T00:00:00Z"""
HOUR, DAY, SEGMENT_S = 3600, 86400, 600
CASES = {"archive-query-2d": (2, 1000), "archive-query-30d": (30, 60)}
POINTS, ASKED = 2000, 9


def value(attribute: int, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """What an attribute is at some seconds after T0: a slow wave and a fine grain."""
    grain = (seconds * (attribute + 7) * 2654435761.0) % 997.0
    return 100.0 * attribute + np.sin(seconds / 9000.0 + attribute) + np.round(grain / 997.0, 3)


def build(folder: Path, days: int, attributes: int) -> dict[str, Any]:
    """Write the archive, and an hour more that stays unmerged; what it cost."""
    names = [name(number) for number in range(attributes)]
    cpu, wall, end = time.process_time(), time.monotonic(), days * DAY + HOUR
    store = Store(folder, T0, Limits(values=4_000_000))
    numbers = store.channels(names)
    for begin in range(0, end, SEGMENT_S):
        if begin % HOUR == 0:
            Keeper(folder).keep(T0 + begin + 70, Retention())
        seconds = np.arange(begin, begin + SEGMENT_S, dtype=float)
        values = np.concatenate([value(number, seconds) for number in range(attributes)])
        store.write(np.tile(T0 + seconds, attributes), np.repeat(numbers, SEGMENT_S), values)
        store.commit(T0 + begin + SEGMENT_S)
    store.commit(T0 + end)
    store.close()
    Keeper(folder).keep(T0 + days * DAY + HOUR // 2, Retention())
    size = sum(path.stat().st_size for path in folder.glob("[!o]*.h5"))
    spent = {"cpu_s": round(time.process_time() - cpu), "wall_s": round(time.monotonic() - wall)}
    return {"values": end * attributes, "gb": round(size / 1e9, 2), "build": spent}


def name(attribute: int) -> str:
    return f"acs/bench/magnet-{attribute:04}/Current"


def drop(folder: Path) -> None:
    """Have the system forget what it holds of the files."""
    for path in folder.glob("*.h5"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor time, ms, and the answer."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3, answer


def measure(folder: Path, days: int, attributes: int) -> dict[str, Any]:
    """Ask for everything, and for an hour in the middle, of some attributes."""
    last = T0 + days * DAY + HOUR - 1
    middle = T0 + days * DAY / 2 + 5 * HOUR
    ranges = {"all": (T0, last), "hour": (middle, middle + HOUR)}
    figures: dict[str, Any] = {"equal": True}
    for kind, (start, end) in ranges.items():
        points = POINTS if kind == "all" else 2 * HOUR
        taken: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": []}
        for attribute in np.linspace(0, attributes - 1, ASKED).astype(int):
            drop(folder)
            for how in ("cold", "warm"):
                wall, cpu, found = timed(partial(query, folder, name(attribute), start, end, points))
                taken[how].append((wall, cpu))
            figures["equal"] &= same(found, int(attribute), start, end)
        for how, pairs in taken.items():
            walls, cpus = zip(*pairs, strict=True)
            figures |= {
                f"{kind}_{how}_ms": round(median(walls), 1),
                f"{kind}_{how}_worst_ms": round(max(walls), 1),
            }
            figures[f"{kind}_{how}_cpu_ms"] = round(median(cpus), 1)
        figures[f"{kind}_rows"], figures[f"{kind}_width_s"] = len(found.times), found.width
    return figures


def same(found: Any, attribute: int, start: float, end: float) -> bool:
    """Whether an answer is what was generated."""
    if found.raw:
        seconds = np.arange(start - T0, end - T0 + 1)
        return bool(np.array_equal(found.last, value(attribute, seconds)))
    low, high = found.times[0], found.times[-1] + found.width
    seconds = np.arange(max(low - T0, 0.0), min(high - T0, end - T0 + 1))
    wanted = bins_of(T0 + seconds, value(attribute, seconds), found.width)
    columns = {"times": "time", "count": "count", "minimum": "minimum", "maximum": "maximum", "last": "last"}
    equal = all(np.array_equal(getattr(found, mine), wanted[column]) for mine, column in columns.items())
    return bool(equal and np.allclose(found.mean, wanted["total"] / wanted["count"], rtol=1e-9))


def case(label: str, folder: Path, days: int, attributes: int) -> None:
    figures = {} if list(folder.glob("*.h5")) else build(folder, days, attributes)
    figures |= measure(folder, days, attributes)
    told = {"name": label, "days": days, "attributes": attributes, **figures}
    print(json.dumps(told), flush=True)


def main() -> None:
    if len(sys.argv) == 4:
        folder, days, attributes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        case(f"archive-query-{days}d", folder, days, attributes)
        return
    for label, (days, attributes) in CASES.items():
        with tempfile.TemporaryDirectory(
            prefix="bench-archive-", dir=next(iter(sys.argv[1:]), None)
        ) as place:
            case(label, Path(place), days, attributes)


if __name__ == "__main__":
    main()
