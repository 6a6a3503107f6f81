"""What a treatment session needs from the world, as narrow Protocols, and the bench that holds them.

Every method may raise Refused (it was understood and not done) and LinkLost (nobody answered).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom.record import TreatmentRecord
from treatment.accounting import Counters
from treatment.approval import Standing
from treatment.delivery_map import DeliveryMap, Machine
from treatment.journal import Journal
from treatment.monitor import Monitor
from treatment.positioning import Setup, Target


@dataclass(frozen=True)
class Operator:
    """Who asks, and the token with which the session acts for them on other devices."""

    user: str
    token: str


@dataclass(frozen=True)
class Readback:
    """Counters of the hardware with the map they belong to. state: of the beam hardware at that moment."""

    counters: Counters
    digest: str
    state: str


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


class DeliveryLink(Protocol):
    """The beam hardware. `hold` and `terminate` may be called from any thread at any time."""

    @property
    def up(self) -> bool:
        """Whether the hardware answers."""

    def status(self) -> Mapping[str, Any]:
        """The hardware's `status`: state, digest, permit, inputs, cause."""

    def load(self, wanted: DeliveryMap, plan_hash: str) -> None:
        """Load a map; its counters begin at zero."""

    def read(self) -> tuple[Mapping[str, NDArray[Any]], str]:
        """The map's arrays as the hardware holds them, and its digest."""

    def start(self) -> None:
        """Begin to irradiate the loaded map."""

    def hold(self, cause: str) -> None:
        """Stop after the spot under way."""

    def terminate(self, cause: str) -> None:
        """Stop for good."""

    def unload(self) -> None:
        """Forget the map."""

    def request_beam(self, wanted: bool) -> None:
        """Ask for beam, or stop asking: one of the permit's inputs."""

    def counters(self) -> Readback:
        """The counters of the loaded map."""


class RoomDevices(Protocol):
    """The room and the shared machine, through their devices, in the operator's name."""

    def enter(self, operator: Operator) -> None:
        """Act for this operator from now on."""

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
    """One room's session: its journal, its ports and what the site declares."""

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
    lock: threading.RLock = field(default_factory=threading.RLock)


def room_directory(state: Path, room: str) -> Path:
    """Where a room's journal, records and outbox lie."""
    return state / "treatment" / room
