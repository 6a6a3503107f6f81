"""What a treatment session needs from the world, as narrow Protocols, and the bench that holds them.

Every method may raise Refused (it was understood and not done) and LinkLost (nobody answered).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydicom.dataset import Dataset

from common.dicom.record import TreatmentRecord
from device_servers.drivers.delivery import DeliveryLink
from treatment.approval import Standing
from treatment.delivery_map import Machine
from treatment.journal import Journal
from treatment.monitor import Monitor
from treatment.positioning import Setup, Target


@dataclass(frozen=True)
class Operator:
    """Who asks, and the token with which the session acts for them on other devices."""

    user: str
    token: str


class PlanSource(Protocol):
    """Where plans come from."""

    def fetch(self, plan_uid: str) -> Dataset:
        """The RT Ion Plan of that SOP Instance UID."""


class ApprovalSource(Protocol):
    """Who knows what was approved."""

    def standing(self, plan_uid: str, token: str) -> Standing:
        """State, hash, signed approval and fractions of a plan."""


class PlanVault(Protocol):
    """The plan in hand, kept so that a restarted process finds it."""

    def keep(self, plan: Dataset) -> None:
        """Keep a plan durably in place of the last one. Raises OSError."""

    def plan(self) -> Dataset:
        """The plan kept, read from the disk anew. Raises Refused when there is none."""


class RoomDevices(Protocol):
    """The room and the shared machine, through their devices, in the operator's name."""

    def enter(self, operator: Operator) -> None:
        """Act for this operator from now on."""

    def check_mode(self) -> None:
        """Raise Refused unless patients may be treated in the machine's mode now."""

    def move(self, target: Target, stop: threading.Event) -> None:
        """Move couch and gantry and return when they stand; Refused when `stop` is set meanwhile."""

    def halt(self) -> None:
        """Stop couch and gantry now. Any thread."""

    def setup(self) -> Setup:
        """Where the room stands, and its air."""

    def load_cycles(self, energies: Sequence[float]) -> None:
        """Load one machine cycle per energy, MeV."""

    def allocate(self, stop: threading.Event) -> None:
        """Return when this room has the beam."""

    def release(self) -> None:
        """Give the beam back."""


class RecordSink(Protocol):
    """Where records go. Keeps them when nobody takes them."""

    def put(self, record: TreatmentRecord) -> None:
        """Write the record's file and queue it for the OIS. The same record again changes nothing."""

    def state(self, uids: Sequence[str]) -> str:
        """NONE, QUEUED or DELIVERED: the least of these records."""


@dataclass
class Bench:
    """One room's session: its journal, its ports and what the site declares.

    aside: interlock inputs that stand in no beam's way (keys), left out where others are named.
    """

    room: str
    journal: Journal
    plans: PlanSource
    approvals: ApprovalSource
    vault: PlanVault
    link: DeliveryLink
    devices: RoomDevices
    records: RecordSink
    key: Callable[[], Ed25519PublicKey]
    monitor: Monitor
    machine: Machine
    now: Callable[[], int]
    new_uid: Callable[[], str]
    aside: frozenset[str] = frozenset()
    lock: threading.RLock = field(default_factory=threading.RLock)


def room_directory(state: Path, room: str) -> Path:
    """Where a room's journal, records and outbox lie."""
    return state / "treatment" / room
