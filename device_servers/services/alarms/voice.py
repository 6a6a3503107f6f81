"""The voice of the control room: espeak-ng makes speech, a player brings it to this machine's sound card."""

import io
import shutil
import subprocess
import tempfile
import wave
from array import array
from collections.abc import Sequence
from math import exp, pi, sin
from pathlib import Path
from typing import Protocol

from common.errors import LinkLost
from common.text import _
from device_servers.services.alarms.severity import Severity

VOICES = {"zh": "cmn-latn-pinyin", "en": "en-gb"}
"""espeak-ng 1.51 turns characters into pinyin; its voice `cmn` then spells the pinyin in English."""
PITCH = {Severity.NO_ALARM: "40", Severity.MINOR: "45", Severity.MAJOR: "60", Severity.INVALID: "50"}
SPEED = {"zh": "150", "en": "140"}
LONGEST = 300
TIMEOUT_S = 20.0
RATE = 22050
"""Samples a second of espeak-ng, and so of the tones."""
TONES = {
    Severity.NO_ALARM: (523.3,),
    Severity.MINOR: (523.3, 659.3),
    Severity.INVALID: (587.3, 587.3),
    Severity.MAJOR: (880.0, 659.3, 880.0, 659.3),
}
"""Frequencies in Hz before the words: how bad it is can be told without the language."""
TONE_S, GAP_S = 0.18, 0.15
PLAYERS = ("aplay", "paplay", "pw-play")


class Sound(Protocol):
    """Where sound goes. `play` returns when it was played; raises LinkLost when nobody can hear it."""

    def play(self, wav: bytes) -> None:
        """A WAV file, 16 bit mono."""


class Card:
    """The sound card of this machine, through a player that says when there is none."""

    def __init__(self, players: Sequence[str] = PLAYERS) -> None:
        self._names = players
        self._player = next(filter(None, map(shutil.which, players)), None)

    def play(self, wav: bytes) -> None:
        """Play to the end. Raises LinkLost without a player or a card."""
        if self._player is None:
            text = _("no sound: none of {players} is installed; install alsa-utils")
            raise LinkLost(text.format(players=", ".join(self._names)))
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            file.write(wav)
            file.flush()
            _run([self._player, file.name], "")


class Espeak:
    """An annunciator that speaks: tones of the severity, then the text. Threads must not share it."""

    def __init__(self, sound: Sound | None = None, program: str = "espeak-ng") -> None:
        """sound: the machine's card, if nothing else is given."""
        self._sound = sound or Card()
        self._program = shutil.which(program)

    def announce(self, severity: Severity, text: str, language: str) -> None:
        """Speak a text. Raises LinkLost without espeak-ng, without a player or without a sound card."""
        self._sound.play(self.render(severity, text, language))

    def render(self, severity: Severity, text: str, language: str) -> bytes:
        """Tones and words as a WAV file, 16 bit mono at RATE. Raises LinkLost when there is no speech."""
        if self._program is None:
            raise LinkLost(_("no voice: espeak-ng is not installed"))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "speech.wav"
            command = [self._program, "-v", VOICES[language], "-s", SPEED[language], "-p", PITCH[severity]]
            _run([*command, "-w", str(out), "--stdin"], text[:LONGEST])
            words = _frames(out)
        content = io.BytesIO()
        with wave.open(content, "wb") as sound:
            sound.setparams((1, 2, RATE, 0, "NONE", ""))
            sound.writeframes(tones(severity) + words)
        return content.getvalue()


def tones(severity: Severity) -> bytes:
    """The tones of a severity and a short silence, as frames."""
    samples, count = array("h"), int(RATE * TONE_S)
    for frequency in TONES[severity]:
        samples.extend(
            int(12000 * exp(-3.0 * i / count) * sin(2 * pi * frequency * i / RATE)) for i in range(count)
        )
    samples.extend([0] * int(RATE * GAP_S))
    return samples.tobytes()


def _frames(path: Path) -> bytes:
    try:
        with wave.open(str(path), "rb") as spoken:
            if (spoken.getframerate(), spoken.getnchannels(), spoken.getsampwidth()) != (RATE, 1, 2):
                raise LinkLost(_("The voice speaks in an unknown format; install espeak-ng 1.51."))
            frames = spoken.readframes(spoken.getnframes())
    except (OSError, EOFError, wave.Error) as why:
        raise LinkLost(_("The voice failed ({why}).").format(why=why)) from why
    if not any(frames):
        raise LinkLost(_("The voice failed ({why}).").format(why=_("it is silent")))
    return frames


def _run(command: Sequence[str], text: str) -> None:
    """Run a program with a text at its input. Raises LinkLost with the last line of what it complains of."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, input=text.encode(), check=False, timeout=TIMEOUT_S, capture_output=True
        )
    except (subprocess.SubprocessError, OSError) as why:
        raise LinkLost(_("The voice failed ({why}).").format(why=f"{name}: {type(why).__name__}")) from why
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise LinkLost(_("The voice failed ({why}).").format(why=f"{name}: {said[-1] if said else '?'}"))
