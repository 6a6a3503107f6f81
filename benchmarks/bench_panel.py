"""Processor time of the trend panel with 200 attributes that change ten times a second, all of them drawn.

A Tango server in another process pushes the block of a crate; the panel runs offscreen with the whole span of
samples already there. One JSON line `trend-panel`:
numbers: share of a core at ten ticks a second without pictures (processor time a tick, times ten);
picture_ms: processor time of a picture of all curves;
core: share of a core with as many such pictures as the panel's pace makes, also where ticks come late;
measured: processor time by wall time in this run.
`python -m benchmarks.bench_panel [--seconds S] [--span S]`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import tango
from tango.server import Device, attribute, run

CHANNELS, RATE_HZ, UNITS = 200, 10.0, ("A", "V", "mbar", "degC")
NAMES = tuple(f"bench/supply/{number:03d}/Current" for number in range(CHANNELS))
CRATE = "crate/server/bench"


class Source(Device):
    """A crate whose channels all change at each step."""

    @attribute(dtype=(str,), max_dim_x=CHANNELS)
    def Channels(self) -> tuple[str, ...]:  # noqa: N802 - Tango's name
        """Names of the channels."""
        return NAMES

    @attribute(dtype=(float,), max_dim_x=3 * CHANNELS)
    def changes(self) -> Any:
        """The block as it stands."""
        return self._block(time.time())

    def init_device(self) -> None:
        """Begin to push."""
        super().init_device()
        import threading  # noqa: PLC0415

        self.set_change_event("changes", True, False)
        self._random = np.random.default_rng(1)
        threading.Thread(target=self._push, daemon=True).start()

    def _push(self) -> None:
        with tango.EnsureOmniThread():
            time.sleep(1.0)  # the attributes come after init_device
            while True:
                time.sleep(1.0 / RATE_HZ)
                self.push_change_event("changes", self._block(time.time()))

    def _block(self, now: float) -> Any:
        index = np.arange(CHANNELS, dtype=float)
        values = index + self._random.normal(size=CHANNELS)
        return np.column_stack((np.full(CHANNELS, now), index, values)).ravel()


class NoArchive:
    """An archive that has nothing: the live part is what is measured."""

    def ask(self, command: str, _argument: Any = None) -> Any:
        """No names, no samples."""
        keys = ("time", "count", "minimum", "mean", "maximum", "last")
        empty: dict[str, Any] = {key: [] for key in keys}
        return [] if command == "Names" else {"start": 0.0, "end": 4e9, "width": 0.0, "before": None, **empty}

    def read(self, _attribute: str) -> Any:
        """Nothing."""
        return None

    def job(self, _command: str, _argument: dict[str, Any]) -> Any:
        """Nothing."""
        return None


def main() -> None:
    """Measure, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--span", type=float, default=600.0, help="seconds that the panel shows")
    options = parser.parse_args()
    if options.source:
        end_point = f"giop:tcp:127.0.0.1:{options.source}"
        run((Source,), args=["bench", "1", "-nodb", "-dlist", CRATE, "-ORBendPoint", end_point])
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, __file__, "--source", str(port)], stdout=subprocess.DEVNULL
    ) as source:
        try:
            print(json.dumps({"name": "trend-panel", **measure(port, options.seconds, options.span)}))
        finally:
            source.terminate()


def measure(port: int, seconds: float, span: float) -> dict[str, Any]:
    """Run the panel for some seconds."""
    from PyQt5.QtWidgets import QApplication  # noqa: PLC0415

    from gui.panels.trend import TrendPanel  # noqa: PLC0415
    from gui.services import Facility  # noqa: PLC0415
    from gui.viewmodels.pace import SHARE  # noqa: PLC0415

    def proxy(device: str) -> tango.DeviceProxy:
        return tango.DeviceProxy(f"tango://127.0.0.1:{port}/{device}#dbase=no")

    application = QApplication(sys.argv[:1])
    facility = Facility("bench", lambda _kind: NoArchive(), proxy, (CRATE,), Path(tempfile.gettempdir()))
    panel = TrendPanel(facility)
    panel.show()
    _until(application, lambda: len(panel.data.names()) == CHANNELS)
    panel.add(list(NAMES))
    for number, row in enumerate(panel.trend.rows):
        row.unit, row.known = UNITS[number % len(UNITS)], True
    _fill(panel, span)
    panel.trend.span = span
    panel._others()
    plain, ticks, _pictures, _wall = _run(application, panel, seconds / 2.0, drawing=False)
    numbers = plain / ticks * RATE_HZ
    spent, ticks, pictures, wall = _run(application, panel, seconds, drawing=True)
    picture = (spent - ticks * numbers / RATE_HZ) / max(pictures, 1)
    rate = min(RATE_HZ, panel.chart.columns() / span, SHARE / picture)
    age = time.time() - panel.data.newest(0)[0]
    panel.close()
    told = {
        "core": numbers + rate * picture,
        "numbers": numbers,
        "picture_ms": 1000.0 * picture,
        "measured": spent / wall,
        "ticks_s": ticks / wall,
        "pictures_s": pictures / wall,
        "age_s": age,
    }
    return {"attributes": CHANNELS, "span_s": span, **{key: round(value, 3) for key, value in told.items()}}


def _run(application: Any, panel: Any, seconds: float, *, drawing: bool) -> tuple[float, int, int, float]:
    """Processor time (s), ticks, pictures and wall time (s) of a while."""
    panel.drawing = drawing
    _spin(application, 1.0)
    ticks, pictures, spent, began = panel.ticks, panel.pictures, time.process_time(), time.monotonic()
    _spin(application, seconds)
    wall = time.monotonic() - began
    return time.process_time() - spent, panel.ticks - ticks, panel.pictures - pictures, wall


def _fill(panel: Any, span: float) -> None:
    """As if the panel had been open for that long."""
    traces, random, now = panel.data.traces, np.random.default_rng(2), time.time()
    crate = traces._crates[CRATE]
    traces.choose((), now)
    traces.choose(NAMES, now - span)
    for step in np.arange(now - span, now, 1.0 / RATE_HZ):
        index = np.arange(CHANNELS, dtype=float)
        block = np.column_stack((np.full(CHANNELS, step), index, index + random.normal(size=CHANNELS)))
        traces.take(CRATE, crate.names, block)


def _spin(application: Any, seconds: float) -> None:
    """Qt's own loop, for some seconds."""
    from PyQt5.QtCore import QTimer  # noqa: PLC0415

    QTimer.singleShot(round(seconds * 1000), application.quit)
    application.exec_()


def _until(application: Any, true: Any) -> None:
    end = time.monotonic() + 60.0
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the source does not answer")
        _spin(application, 0.1)


if __name__ == "__main__":
    main()
