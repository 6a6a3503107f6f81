"""What the use cases need from outside; interfaces implement it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Hasher(Protocol):
    """Passwords."""

    @property
    def decoy(self) -> str:
        """A hash that no password fits: an unknown name then takes as long as a wrong password."""
        ...

    def hash(self, password: str) -> str:
        """An encoded hash with its own salt and parameters."""
        ...

    def verify(self, encoded: str, password: str) -> bool:
        """Whether the password fits. False for a damaged hash too."""
        ...


class FileStore(Protocol):
    """Files of the archive, by a path relative to it."""

    def stage(self, content: bytes) -> Path:
        """Write durably under a temporary name. Raises OSError; nothing is left then."""
        ...

    def publish(self, staged: Path, path: str) -> None:
        """Give a staged file its name, durably."""
        ...

    def discard(self, staged: Path) -> None:
        """Remove a staged file; one that is gone is no error."""
        ...

    def remove(self, path: str) -> None:
        """Remove a published file; one that is gone is no error."""
        ...

    def read(self, path: str) -> bytes:
        """Content of a published file. Raises OSError."""
        ...

    def sweep(self, known: Collection[str]) -> int:
        """Remove temporary files and files that no row knows; returns how many."""
        ...


class Composer(Protocol):
    """Irradiation reports."""

    def compose(self, facts: Mapping[str, Any], pictures: Mapping[str, bytes], language: str) -> bytes:
        """The report as PDF."""
        ...


@dataclass(frozen=True)
class Message:
    """What leaves the house. `key`: the same one on every attempt. `channel`: sms, wechat, ..."""

    key: str
    channel: str
    kind: str
    recipient: str
    content: str


class Messenger(Protocol):
    """Takes messages to their receivers."""

    def close(self) -> None:
        """Let go of connections."""
        ...

    def send(self, message: Message) -> None:
        """Return when the receiver has it.

        Raises LinkLost or OSError when it should be tried again, Refused or BadInput when it is not taken.
        """
        ...


@dataclass(frozen=True)
class Demographics:
    """What the hospital's system knows of a person; empty where it does not say. birth_date as YYYYMMDD."""

    hospital_number: str = ""
    id_card: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    phone: str = ""
    address: str = ""
    source: str = ""
    ward: str = ""
    bed: str = ""


class HospitalSystem(Protocol):
    """The hospital information system (HIS), asked for one person."""

    @property
    def connected(self) -> bool:
        """Whether an address of it is configured."""
        ...

    def find(self, hospital_number: str, id_card: str) -> Demographics | None:
        """The person with one of these numbers. Raises LinkLost when it does not answer within two seconds,
        BadInput for an answer that cannot be used.
        """
        ...


@dataclass(frozen=True)
class Label:
    """What stands on a patient's label. `name` as it is to be shown, `second` in the other letters, or ""."""

    name: str
    second: str
    patient_id: str
    sex: str
    birth_date: str
    barcode: str


class LabelComposer(Protocol):
    """Labels to stick on sheets and wrist bands."""

    def compose(self, label: Label, language: str) -> bytes:
        """One label as PDF, in its own size."""
        ...


class SignatureProvider(Protocol):
    """Electronic signatures under forms: the hospital's, or the house's own (services/forms/signing.py)."""

    def sign(self, user: str, digest: str, meaning: str, secret: str) -> str:
        """A signature by a person of a SHA-256 digest (hex). `secret`: password, PIN or one-time code.

        Raises Unauthorised when the person is not who they say, LinkLost when the provider is away.
        """
        ...

    def verify(self, signature: str, digest: str) -> Mapping[str, Any]:
        """What a signature states: user, meaning, time (ISO 8601). Raises Tampered when it does not fit."""
        ...


@dataclass(frozen=True)
class DeviceReading:
    """One device of the facility as it is now. `state`: Tango's name, or empty when it does not answer."""

    device: str
    kind: str
    room: str
    state: str
    text: str


class Facility(Protocol):
    """The machines: read, never commanded."""

    def read(self) -> Sequence[DeviceReading]:
        """All devices. Raises LinkLost when the facility does not answer at all."""
        ...

    def archived(self, pattern: str) -> Sequence[str]:
        """Names of archived attributes that match, `*` and `?` as in file names. Raises LinkLost."""
        ...

    def history(self, attribute: str, start: float, end: float, points: int) -> Mapping[str, Any]:
        """An attribute ("device/attribute") over time in at most `points` rows (docs/reference/archive.md).

        Raises LinkLost when the archiver is away, BadInput for what it does not take.
        """
        ...


class Voice(Protocol):
    """Speaks calls aloud."""

    def sound(self, texts: Sequence[tuple[str, str]]) -> tuple[bytes, bool]:
        """(language, text) pairs after a chime, as WAV; False: only the chime, there is no voice here.

        Raises OSError, LinkLost for a voice that fails.
        """
        ...

    def sweep(self) -> int:
        """Remove old sounds; returns how many."""
        ...


class FeatureReader(Protocol):
    """A face or fingerprint reader that keeps the features and answers with the name of a template."""

    def read(self, device: str) -> str:
        """The template of who stands before the reader at a device; empty for nobody.

        Raises LinkLost, Refused where no reader is configured.
        """
        ...

    def forget(self, template: str) -> int:
        """Have every reader delete the features of a template; returns how many did. Raises LinkLost when
        one does not answer.
        """
        ...
