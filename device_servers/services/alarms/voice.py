"""The voice of the control room: espeak-ng, which speaks through the sound card of this machine."""

import shutil
import subprocess

from common.errors import LinkLost
from common.text import _
from device_servers.services.alarms.severity import Severity

VOICES = {"zh": "cmn-latn-pinyin", "en": "en-gb"}
"""espeak-ng 1.51 turns characters into pinyin; its voice `cmn` then spells the pinyin in English."""
PITCH = {Severity.NO_ALARM: "40", Severity.MINOR: "45", Severity.MAJOR: "60", Severity.INVALID: "50"}
SPEED = {"zh": "150", "en": "140"}
LONGEST = 300
TIMEOUT_S = 20.0


class Espeak:
    """An annunciator that speaks. Threads must not share it."""

    def __init__(self, program: str = "espeak-ng") -> None:
        self._program = shutil.which(program)

    def announce(self, severity: Severity, text: str, language: str) -> None:
        """Speak a text. Raises LinkLost without espeak-ng or without a sound card."""
        if self._program is None:
            raise LinkLost(_("no voice: espeak-ng is not installed"))
        command = [
            self._program, "-v", VOICES[language], "-s", SPEED[language], "-p", PITCH[severity], "--stdin",
        ]  # fmt: skip
        try:
            subprocess.run(
                command, input=text[:LONGEST].encode(), check=True, timeout=TIMEOUT_S, capture_output=True
            )
        except (subprocess.SubprocessError, OSError) as why:
            raise LinkLost(_("The voice failed ({why}).").format(why=type(why).__name__)) from why
