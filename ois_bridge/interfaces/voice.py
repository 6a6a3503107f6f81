"""Calls as sound: a chime, then espeak-ng in Chinese and English, without any network.

Sounds are kept for a day under names made with a key of this process: a file name tells nothing.
"""

import hashlib
import hmac
import io
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
import wave
from array import array
from collections.abc import Sequence
from math import exp, pi, sin
from pathlib import Path

from common.errors import LinkLost
from common.text import _

RATE = 22050
"""Samples a second of espeak-ng, and so of the chime."""

VOICES = {"zh": "cmn-latn-pinyin", "en": "en-gb"}
"""espeak-ng 1.51 turns characters into pinyin; its voice `cmn` then spells the pinyin in English."""

SPEED = {"zh": "150", "en": "140"}
KEPT_S = 24 * 3600
LONGEST = 200
TIMEOUT_S = 10.0
_TONES = ((659.3, 0.35), (523.3, 0.6))
"""Frequency in Hz and length in s of each tone of the chime."""


class Espeak:
    """The voice. Threads may share it."""

    def __init__(self, cache: Path, program: str = "espeak-ng") -> None:
        self._cache = cache
        self._program = shutil.which(program)
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        shutil.rmtree(cache, ignore_errors=True)  # of a former process: its key is gone

    def sound(self, texts: Sequence[tuple[str, str]]) -> tuple[bytes, bool]:
        """The chime and the texts as one WAV, 16 bit mono; False without espeak-ng.

        Raises OSError, LinkLost.
        """
        if self._program is None:
            return _wav(chime()), False
        name = hmac.new(self._key, repr(list(texts)).encode(), hashlib.sha256).hexdigest()
        path = self._cache / f"{name}.wav"
        # one at a time: two screens that ask for the same call get one rendering
        with self._lock:
            if not path.exists():
                frames = chime() + b"".join(self._speech(language, text) for language, text in texts)
                self._keep(path, _wav(frames))
            return path.read_bytes(), True

    def sweep(self) -> int:
        """Remove sounds of yesterday."""
        old = time.time() - KEPT_S
        files = [path for path in self._cache.glob("*") if path.stat().st_mtime < old]
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _keep(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)

    def _speech(self, language: str, text: str) -> bytes:
        """Frames of a text, given through a pipe: all users of a computer see a command line."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "speech.wav"
            command = [
                str(self._program), "-v", VOICES[language], "-s", SPEED[language], "-w", str(out), "--stdin"
            ]  # fmt: skip
            try:
                subprocess.run(
                    command,
                    input=text[:LONGEST].encode(),
                    check=True,
                    timeout=TIMEOUT_S,
                    capture_output=True,
                )
                with wave.open(str(out), "rb") as spoken:
                    if (spoken.getframerate(), spoken.getnchannels(), spoken.getsampwidth()) != (RATE, 1, 2):
                        raise LinkLost(_("The voice speaks in an unknown format; install espeak-ng 1.51."))
                    return spoken.readframes(spoken.getnframes())
            except (subprocess.SubprocessError, wave.Error) as why:
                raise LinkLost(_("The voice failed ({why}).").format(why=type(why).__name__)) from None


def chime() -> bytes:
    """Two falling tones and a short silence, as frames."""
    samples = array("h")
    for frequency, seconds in _TONES:
        count = int(RATE * seconds)
        samples.extend(
            int(11000 * exp(-3.0 * place / count) * sin(2 * pi * frequency * place / RATE))
            for place in range(count)
        )
    samples.extend([0] * (RATE // 5))
    return samples.tobytes()


def _wav(frames: bytes) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(frames)
    return content.getvalue()
