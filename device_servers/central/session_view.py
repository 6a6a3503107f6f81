"""What a panel sees of the session, kept ready so that reading an attribute never waits."""

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam, IonPlan
from device_servers.drivers.delivery import SpotNews
from treatment.journal import Journal
from treatment.monitor import Monitor
from treatment.session import State

COLUMNS = 5
"""Layer, x, y, planned MU, delivered MU."""


@dataclass(frozen=True)
class Picture:
    """What the attributes show: taken ten times a second at most, read without waiting."""

    state: str = State.IDLE
    legal: tuple[str, ...] = ()
    cause: str = ""
    interlock: str = ""
    record: str = "NONE"
    patient_name: str = ""
    patient_id: str = ""
    plan_label: str = ""
    plan_uid: str = ""
    plan_hash: str = ""
    fraction: int = 0
    beam_number: int = 0
    beam_name: str = ""
    beam_count: int = 0
    layer: int = 0
    layer_count: int = 0
    energy: float = 0.0
    spot: int = 0
    spot_count: int = 0
    delivered_mu: float = 0.0
    planned_mu: float = 0.0
    dose_rate: float = 0.0
    image: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, COLUMNS)))

    @property
    def progress(self) -> float:
        """Delivered part of the beam in hand, 0..1."""
        return min(self.delivered_mu / self.planned_mu, 1.0) if self.planned_mu > 0 else 0.0

    @property
    def drawn(self) -> NDArray[np.float64] | None:
        """The spot map; None without a beam."""
        return self.image if len(self.image) else None


class SpotView:
    """The spots of the beam in hand, with what was delivered of each: earlier runs and live reports."""

    def __init__(self, journal: Journal, monitor: Monitor) -> None:
        self._journal, self._monitor = journal, monitor
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._planned: NDArray[np.float64] = np.empty((0, COLUMNS))
        self._before = np.zeros(0, dtype=np.int64)
        self._live = np.zeros(0, dtype=np.int64)
        self._k_tp = 1.0
        self._beam = 0

    def select(self, plan: IonPlan | None, beam: IonBeam | None) -> bool:
        """Show this beam with the counts that the journal holds of it; whether that is news."""
        ledger = self._journal.ledger
        runs = [run for run in ledger.history.runs if run.counters is not None]
        key = (plan.sop_instance_uid if plan else "", beam.number if beam else 0, ledger.k_tp, len(runs))
        with self._lock:
            if key == self._key:
                return False
            self._key = key
            if beam is None:
                self._planned, self._beam = np.empty((0, COLUMNS)), 0
            else:
                self._planned, self._beam = _rows(beam), beam.number
            self._k_tp = ledger.k_tp or (runs[-1].k_tp if runs else 1.0)
            spots = len(self._planned)
            self._before = ledger.history.done(self._beam, spots, self._k_tp)
            self._live = np.zeros(spots, dtype=np.int64)
            return True

    def take(self, news: SpotNews) -> None:
        """Spots that the hardware reports as ended."""
        with self._lock:
            if news.beam_number == self._beam and (not len(news.index) or news.index.max() < len(self._live)):
                self._live[news.index] = news.primary

    def delivered(self) -> NDArray[np.float64]:
        """MU of each spot so far, (n,)."""
        with self._lock:
            counts = self._before + self._live
            return np.asarray(counts * (self._k_tp / self._monitor.counts_per_mu))

    def image(self) -> NDArray[np.float64]:
        """(n, 5): layer, x, y, planned MU, delivered MU."""
        delivered = self.delivered()
        with self._lock:
            image = self._planned.copy()
        if len(image) == len(delivered):
            image[:, 4] = delivered
        return image


def _rows(beam: IonBeam) -> NDArray[np.float64]:
    """(n, 5) of a beam, nothing delivered."""
    rows = []
    for index, layer in enumerate(beam.layers):
        layer_column = np.full(layer.spot_count, float(index))
        rows.append(np.column_stack([layer_column, layer.x, layer.y, layer.mu, np.zeros(layer.spot_count)]))
    return np.concatenate(rows).astype(np.float64)
