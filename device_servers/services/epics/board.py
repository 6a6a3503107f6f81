"""The latest sample of every PV, who shows it, and which PVs somebody looks at."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from device_servers.services.epics.pv import OF_GATEWAY, Sample, Shape, empty, unknown

Change = tuple[Shape, Sample]


class Output(Protocol):
    """A protocol's server: it shows samples to its clients."""

    def show(self, changes: Sequence[Change]) -> None:
        """Show new samples. Must not block; changes of one PV come in their order."""


class Board:
    """Samples by PV name. Every method may be called from any thread."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        self.shapes = {shape.name: shape for shape in shapes}
        now = time.time()
        self._samples = {name: _first(shape, now) for name, shape in self.shapes.items()}
        self._outputs: list[Output] = []
        self._watched: Counter[str] = Counter()
        self._fresh: set[str] = set()
        self._news = threading.Condition(threading.RLock())
        self.wake: dict[str, threading.Event] = {
            shape.server: threading.Event() for shape in self.shapes.values()
        }

    def add_output(self, output: Output) -> None:
        """Have an output shown every change from now on."""
        with self._news:
            self._outputs.append(output)

    def sample(self, name: str) -> Sample:
        """The latest sample of a PV."""
        return self._samples[name]

    def publish(self, changes: Iterable[tuple[str, Sample]]) -> None:
        """Take new samples by PV name; names that are no PV are left out."""
        with self._news:
            shown = []
            for name, news in changes:
                shape = self.shapes.get(name)
                if shape is None:
                    continue
                sample = news if news.value is not None else news._replace(value=self._samples[name].value)
                self._samples[name] = sample
                if shape.read and self._watched[name]:
                    self._fresh.add(name)
                shown.append((shape, sample))
            for output in self._outputs:
                output.show(shown)
            self._news.notify_all()

    # --- PVs that are read while somebody looks at them

    def watch(self, name: str) -> None:
        """Somebody begins to look at a PV."""
        with self._news:
            self._watched[name] += 1
        self.wake[self.shapes[name].server].set()

    def unwatch(self, name: str) -> None:
        """Somebody who looked at a PV is gone."""
        with self._news:
            self._watched[name] -= 1
            if self._watched[name] <= 0:
                del self._watched[name]
                self._fresh.discard(name)

    def watched(self, name: str) -> bool:
        """Whether somebody looks at a PV."""
        with self._news:
            return self._watched[name] > 0

    def to_read(self, server: str, *, stale_only: bool) -> list[Shape]:
        """PVs of a server to read: those looked at, or of them only those without a sample since."""
        with self._news:
            shapes = [self.shapes[name] for name in self._watched]
            return [
                shape
                for shape in shapes
                if shape.server == server and shape.read and not (stale_only and shape.name in self._fresh)
            ]

    def fetch(self, name: str, limit_s: float) -> Sample:
        """A sample that is no older than this call; the latest one there is, after `limit_s`."""
        self.watch(name)
        try:
            with self._news:
                self._news.wait_for(lambda: name in self._fresh, limit_s)
                return self._samples[name]
        finally:
            self.unwatch(name)


def _first(shape: Shape, now: float) -> Sample:
    if shape.command or shape.device == OF_GATEWAY:
        return Sample([] if shape.array else "" if shape.kind == "text" else 0, now)
    return unknown(now)._replace(value=empty(shape))
