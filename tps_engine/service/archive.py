"""The OIS as the planning service sees it: facts over HTTP, objects by C-GET and C-STORE."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset

from common.dicom import ct, ion_plan, ion_record, rt_dose, structures
from common.dicom.ct import CtVolume
from common.dicom.plan import IonPlan
from common.dicom.record import TreatmentRecord
from common.dicom.rt_dose import DoseGrid
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.links import dimse
from common.links.http import JsonClient
from common.state import StateDir
from common.text import _

AET = "PTCS_TPS"


class Ois:
    """One job's connection to the OIS, with the token of who posted the job."""

    def __init__(self, state: StateDir, token: str) -> None:
        """Raises LinkLost when no OIS has announced itself."""
        where = state.endpoint("ois")
        self._peer = dimse.Peer(where["host"], int(where["dicom_port"]), where["aet"])
        self._http = JsonClient(f"http://{where['host']}:{where['port']}/api/v1", token)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the HTTP connections."""
        self._http.close()

    def prescription(self, key: str) -> dict[str, Any]:
        """A prescription by its id."""
        return dict(self._http.get(f"/prescriptions/{key}"))

    def plan_facts(self, plan_uid: str) -> dict[str, Any]:
        """State, prescription_id and fractions of a plan."""
        return dict(self._http.get(f"/plans/{plan_uid}"))

    def plan(self, uid: str) -> IonPlan:
        """An RT Ion Plan. Raises BadInput when the OIS has none of that UID, BadDicom when it is damaged."""
        return ion_plan.from_dataset(self._one(uid, _("RT Ion Plan")))

    def record(self, uid: str) -> TreatmentRecord:
        """An RT Ion Beams Treatment Record."""
        return ion_record.from_dataset(self._one(uid, _("treatment record")))

    def structures(self, uid: str) -> StructureSet:
        """An RT Structure Set."""
        return structures.from_dataset(self._one(uid, _("structure set")))

    def dose(self, uid: str) -> DoseGrid:
        """An RT Dose."""
        return rt_dose.from_dataset(self._one(uid, _("RT Dose")))

    def ct(self, drawn_on: StructureSet) -> CtVolume:
        """The CT series that a structure set was drawn on. Raises BadInput when the OIS lacks it."""
        series = drawn_on.referenced_series_uid
        if not series:
            raise BadInput(_("the structure set does not name the CT series that it was drawn on"))
        found = dimse.fetch(self._peer, AET, SeriesInstanceUID=series)
        if not found:
            raise BadInput(_("the OIS does not hold the CT series of the structure set; send it first"))
        return ct.read_series(found)

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Send objects over one association, in order. Raises Refused or LinkLost."""
        dimse.store(self._peer, datasets, AET)

    def _one(self, uid: str, what: str) -> Dataset:
        found = dimse.fetch(self._peer, AET, SOPInstanceUID=uid)
        if len(found) != 1:
            raise BadInput(
                _("the OIS holds no {what} with the UID asked for; send it there first").format(what=what)
            )
        return found[0]
