"""What the archiver listens to: the crates, nozzles and words of the site's section `archive`."""

import logging
import threading
from typing import Protocol

import tango

from common.site import Site
from device_servers.services.archive.recorder import Recorder
from device_servers.services.sources import CHECK_PERIOD_S, BlockSource, SpotSource, TextSource
from device_servers.services.states import StateSource

log = logging.getLogger(__name__)

TEXTS: dict[str, tuple[str, ...]] = {
    "BeamAllocation": ("Owner",),
    "Couch": ("State",),
    "Gantry": ("State",),
    "Interlock": ("FirstFault",),
    "MachineMode": ("Mode",),
    "TreatmentSession": ("SessionState", "InterlockText", "Cause", "RecordState"),
}
"""Device class -> words that belong to the history of a fraction. Nothing that names a patient."""


class Checked(Protocol):
    """A source as the thread that looks after it sees it."""

    device: str
    up: bool

    def check(self) -> None:
        """See whether it is there."""

    def close(self) -> None:
        """End it."""


class ArchiveSources:
    """All sources, and the one thread that looks after them."""

    def __init__(self, site: Site, recorder: Recorder) -> None:
        archive = site.archive
        texts = [
            TextSource(device.name, attribute, recorder)
            for device in site.devices
            for attribute in TEXTS.get(device.tango_class, ())
        ]
        heard = {f"{source.device}/{source.attribute}" for source in texts}
        # the Status of these may tell of a patient's treatment
        quiet = {device.name for device in site.devices if device.area == "treatment"}
        self._sources: list[Checked] = [
            *(BlockSource(name, recorder) for name in archive["blocks"]),
            *(SpotSource(nozzle, recorder) for nozzle in archive["spots"]),
            *texts,
            *(StateSource(name, recorder, heard, quiet) for name in archive["blocks"]),
        ]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="archive sources", daemon=True)

    def __len__(self) -> int:
        return len(self._sources)

    def start(self) -> None:
        """Begin to look for them."""
        self._thread.start()

    def stop(self) -> None:
        """End the subscriptions."""
        self._end.set()
        self._thread.join(timeout=2.0)

    def missing(self) -> list[str]:
        """Devices that do not answer, in order."""
        return sorted({source.device for source in self._sources if not source.up})

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                for source in self._sources:
                    try:
                        source.check()
                    except Exception:  # border of the thread: one bad source must not end the others
                        log.exception("source %s", source.device)
                self._end.wait(CHECK_PERIOD_S)
            for source in self._sources:
                source.close()
