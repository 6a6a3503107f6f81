"""`python -m benchmarks.acs_monitors`: a pvAccess client with a monitor on each PV of a list (JSON, a line).

Says `connected` once every monitor has heard its PV, and on end of stdin the updates that came since.
The addresses are those of the environment (`ptcs status --json`, `pva_env`).
"""

import json
import sys
import threading
from collections.abc import Iterable
from typing import Any

from p4p.client.thread import Context

CONNECT_LIMIT = 60.0


class Monitors:
    """Counts what each monitor hears."""

    def __init__(self, names: list[str]) -> None:
        self._lock = threading.Lock()
        self._all_heard = threading.Event()
        self._waiting = set(names)
        self.updates = 0
        self._context = Context("pva", nt=False)
        self._subscriptions: dict[str, Any] = {}
        self._monitor(names)

    def _monitor(self, names: Iterable[str]) -> None:
        for name in names:
            self._subscriptions[name] = self._context.monitor(name, lambda _, name=name: self._heard(name))

    def _heard(self, name: str) -> None:
        with self._lock:
            self.updates += 1
            self._waiting.discard(name)
            if not self._waiting:
                self._all_heard.set()

    def wait(self) -> None:
        """Return once every monitor has heard its PV. Raises TimeoutError.

        The client library drops an update that comes before its `monitor` has returned, so that a PV which
        does not change after is never heard: such monitors are begun anew.
        """
        if self._all_heard.wait(CONNECT_LIMIT / 2):
            return
        with self._lock:
            silent = sorted(self._waiting)
        for name in silent:
            self._subscriptions.pop(name).close()
        self._monitor(silent)
        if not self._all_heard.wait(CONNECT_LIMIT):
            raise TimeoutError(f"{len(self._waiting)} PVs not heard of, such as {next(iter(self._waiting))}")

    def close(self) -> None:
        """End the monitors."""
        for subscription in self._subscriptions.values():
            subscription.close()
        self._context.close()


def main() -> None:
    """Monitor the PVs named on the first line until stdin ends."""
    monitors = Monitors(json.loads(sys.stdin.readline()))
    monitors.wait()
    before = monitors.updates
    print(json.dumps({"connected": before}), flush=True)
    sys.stdin.read()
    print(json.dumps({"updates": monitors.updates - before}), flush=True)
    monitors.close()


if __name__ == "__main__":
    main()
