"""What an AlarmServer runs: the rules of a site, the service that judges them, where values come from."""

import logging
import threading
import time

import tango

from device_servers.base import PtcsDevice
from device_servers.services.alarms import rule_set
from device_servers.services.alarms.intake import Intake
from device_servers.services.alarms.service import Service
from device_servers.services.alarms.sources import Told, of_site
from device_servers.services.alarms.voice import Espeak
from device_servers.services.sources import CHECK_PERIOD_S

log = logging.getLogger(__name__)

START_S = 20.0
"""Servers that have not come after this long are lost."""
NUDGE_S = 0.1
"""A server pushes values before it works out the States that follow from them."""


class AlarmListener(PtcsDevice):
    """Rules, the service that runs them, and the sources of their values."""

    def init_device(self) -> None:
        """Load the rules, put kept alarms back, and begin to listen."""
        super().init_device()
        self.found = rule_set.of_site(self.context.site)
        file = self.found.file
        self.service = Service(
            self.found.rules,
            self.context.state / "alarms",
            self.refresh,
            Espeak(),
            file.manner,
            file.keep_days,
        )
        inputs = self.service.engine.inputs
        shapes = [self.found.attributes.find(name) for name in inputs.names]
        self.intake = Intake(inputs, self.service.engine.words, shapes, self.service.wake)
        self._end, self._nudge = threading.Event(), threading.Event()
        own = {self.context.server: self._own}
        self._sources = of_site(
            self.context.site, shapes, self.found.wired, self.intake, own, self._nudge.set
        )
        self._started = time.monotonic()
        self._keeper = threading.Thread(target=self._keep, name="alarm sources", daemon=True)
        self.service.drain, self.service.ready = self.intake.drain, self._ready
        self.service.start()
        self._keeper.start()

    def delete_device(self) -> None:
        """End the threads, write what waits."""
        super().delete_device()
        self._end.set()
        self._nudge.set()
        self._keeper.join(timeout=2.0)
        self.service.stop()

    # --- Inner

    def _own(self) -> Told:
        """How the devices of this very server stand."""
        return {name: device.standing for name, device in dict(self.context.devices).items()}

    def _ready(self) -> bool:
        """Every source answers, or had its time."""
        if time.monotonic() - self._started > START_S:
            return True
        return all(source.checked and source.up for source in self._sources)

    def _keep(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                for source in self._sources:
                    try:
                        source.check()
                    except Exception:  # border of the thread: one bad source must not end the others
                        log.exception("alarm source")
                if self._nudge.wait(CHECK_PERIOD_S):
                    self._nudge.clear()
                    self._end.wait(NUDGE_S)
            for source in self._sources:
                source.close()
