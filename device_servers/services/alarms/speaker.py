"""The thread that says aloud what nobody has acknowledged."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from common.errors import PtcsError
from device_servers.services.alarms.announcer import Announcer, Annunciator, Manner, Waiting
from device_servers.services.alarms.severity import Severity

log = logging.getLogger(__name__)

PERIOD_S = 0.5


class Speaker:
    """Asks twice a second what waits, and speaks as the announcer decides."""

    def __init__(
        self, annunciator: Annunciator, manner: Manner, waiting: Callable[[], Sequence[Waiting]]
    ) -> None:
        self.mute = ""
        """Why the voice does not speak; empty while it does."""
        self._annunciator, self._waiting = annunciator, waiting
        self._announcer = Announcer(manner)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms voice", daemon=True)

    def start(self) -> None:
        """Begin, where the site wants a voice."""
        if self._announcer.manner.voice:
            self._thread.start()

    def stop(self) -> None:
        """Say nothing more; a sentence under way is not waited for."""
        self._end.set()

    def silence(self, seconds: float) -> None:
        """No voice for some time."""
        self._announcer.silence(time.monotonic(), seconds)

    def say(self, severity: Severity, texts: Mapping[str, str]) -> None:
        """Say something now, a text a language. Raises LinkLost when there is no voice."""
        for language, text in texts.items():
            self._annunciator.announce(severity, text, language)

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            said = self._announcer.next(time.monotonic(), self._waiting())
            if said is None:
                continue
            try:
                self.say(*said)
                self.mute = ""
            except PtcsError as why:
                if str(why) != self.mute:
                    log.error("no voice: %s", why)
                self.mute = str(why)
