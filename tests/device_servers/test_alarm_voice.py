"""What the voice says is real speech in both languages, and who cannot be heard says so."""

import io
import shutil
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from bench import wait_until

from common.errors import LinkLost
from device_servers.services.alarms.announcer import Manner
from device_servers.services.alarms.inputs import NO_WORD, VALID, Sample
from device_servers.services.alarms.rules import Words, truth_rule
from device_servers.services.alarms.service import Service
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.voice import GAP_S, RATE, TONE_S, TONES, Card, Espeak

pytestmark = pytest.mark.requirement("ACS-ALARM")
NAME = "acs/water/a/Flow"
TEXT = Words("cooling water of the ring is lost", "环的冷却水中断")


class Files:
    """A sound interface that keeps what it was given to play."""

    def __init__(self) -> None:
        self.played: list[bytes] = []

    def play(self, wav: bytes) -> None:
        self.played.append(wav)


def samples(wav: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(wav)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2").astype(float)


def words(wav: bytes, severity: Severity) -> np.ndarray:
    """The part after the tones."""
    return samples(wav)[int(RATE * (TONE_S * len(TONES[severity]) + GAP_S)) :]


def check_speech(sound: np.ndarray) -> None:
    """As loud as speech, with pauses, and with most of its power where voices have it."""
    assert 0.8 < len(sound) / RATE < 15.0
    frames = sound[: len(sound) // 441 * 441].reshape(-1, 441)  # 20 ms each
    loud = np.sqrt((frames**2).mean(axis=1)) > 300.0
    assert 0.4 < loud.mean() < 1.0 and np.count_nonzero(np.diff(loud.astype(int))) >= 2
    power = np.abs(np.fft.rfft(sound)) ** 2
    at = np.fft.rfftfreq(len(sound), 1.0 / RATE)
    assert power[(at > 80.0) & (at < 4000.0)].sum() > 0.8 * power.sum()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed (packages.apt)")
def test_an_alarm_is_spoken_in_chinese_and_english(tmp_path: Path) -> None:
    """From a value to the sound interface, through the rules and the thread of the voice."""
    sound = Files()
    rule = truth_rule("ring/water", f"{NAME} < 1", Severity.MAJOR, Status.STATE, text=TEXT)
    manner = Manner(voice=True, languages=("zh", "en"), least=Severity.MAJOR, repeat=1000.0)
    service = Service([rule], tmp_path, lambda: None, Espeak(sound), manner)
    place = service.engine.inputs.names.index(NAME)
    low = Sample(np.array([place]), np.array([0.5]), np.array([NO_WORD]), np.array([VALID]),
                 np.array([False]), np.array([time.time()]))  # fmt: skip
    waiting = [low]
    service.drain = lambda: [waiting.pop()] if waiting else []
    service.start()
    try:
        wait_until(lambda: len(sound.played) >= 2, "both languages", 60)
    finally:
        service.stop()
    chinese, english = (words(wav, Severity.MAJOR) for wav in sound.played[:2])
    check_speech(chinese)
    check_speech(english)
    assert len(chinese) != len(english) and service.speaker.mute == ""
    voice = Espeak(sound)
    for language, short, long in (("zh", "水", TEXT.zh * 3), ("en", "water", TEXT.en * 3)):
        brief, full = (voice.render(Severity.MINOR, text, language) for text in (short, long))
        assert len(full) > 2 * len(brief), "the text is spoken, not a recording"
    with pytest.raises(LinkLost, match=r"The voice failed"):
        voice.render(Severity.MINOR, "", "en")


def test_a_machine_without_sound_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LinkLost, match="install alsa-utils"):
        Card(("no-such-player",)).play(b"")
    heard = tmp_path / "heard.wav"
    for name, script in (
        ("deaf", "echo 'aplay: main:831: audio open error: No such file or directory' >&2; exit 1"),
        ("good", f'cp "$1" {heard}'),
    ):
        player = tmp_path / name
        player.write_text(f"#!/bin/sh\n{script}\n")
        player.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(LinkLost, match=r"deaf: .*No such file"):
        Card(("deaf",)).play(b"RIFF")
    Card(("no-such-player", "good")).play(b"RIFF")
    assert heard.read_bytes() == b"RIFF"
