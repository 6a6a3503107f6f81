"""One small synthetic patient as DICOM objects, made by the project's own codecs."""

from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from common.dicom import ct, ion_plan, ion_record, rt_dose, structures
from common.dicom.modules import new_uid
from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from common.dicom.record import BeamRecord, LayerRecord, TreatmentRecord

START_NS = 1_795_000_000_000_000_000
MACHINE = "PTCS-SYN-1"
MU = np.array([1.0, 2.0, 3.0], dtype=np.float32)


ZHANG = PatientIdentity("PT-0001", "Zhang^Wei=张^伟", "19600229", "M")


@dataclass(frozen=True)
class Case:
    """A patient; all UIDs follow from `tag`."""

    tag: str = "A"
    patient: PatientIdentity = ZHANG

    def uid(self, what: str) -> str:
        return new_uid(self.tag, what)

    def ct_volume(self) -> ct.CtVolume:
        hu = np.random.default_rng(1).integers(-100, 100, (4, 8, 8)).astype(np.float32)
        uids = tuple(self.uid(f"slice {index}") for index in range(4))
        return ct.CtVolume(
            hu, (-10.0, -10.0, 0.0), (2.5, 2.5, 3.0), self.patient, self.uid("study"), self.uid("ct series"),
            self.uid("frame"), uids, description="Synthetic pelvis", created="20261122090000",
        )  # fmt: skip

    def ct(self) -> list[Dataset]:
        return ct.to_datasets(self.ct_volume())

    def structure_set(self) -> structures.StructureSet:
        square = np.array([[-4, -4, 3], [4, -4, 3], [4, 4, 3], [-4, 4, 3]], dtype=float)
        rois = {
            "prostate": structures.Roi(1, "prostate", "PTV", (square,), (255, 0, 0)),
            "bladder": structures.Roi(2, "bladder", "ORGAN", (square + np.array([0, 0, 3]),), (0, 0, 255)),
        }
        return structures.StructureSet(
            self.patient, self.uid("structure set"), self.uid("study"), self.uid("rs series"),
            self.uid("frame"), self.uid("ct series"), "RS", rois, created="20261122093000",
        )  # fmt: skip

    def images(self) -> list[Dataset]:
        return [*self.ct(), structures.to_dataset(self.structure_set(), self.ct_volume())]

    def ion_plan(self, **changes: object) -> IonPlan:
        def layer(energy: float) -> IonLayer:
            x = np.array([-5, 0, 5], dtype=np.float32)
            return IonLayer(energy, x, x * 0 + 2, MU, 9.0, 9.5, tune_id="T1")

        beams = (
            IonBeam(1, "Left lateral", 90.0, 0.0, (0.0, 0.0, 4.5), (layer(150.0), layer(146.0))),
            IonBeam(2, "Right lateral", 270.0, 0.0, (0.0, 0.0, 4.5), (layer(149.0),)),
        )
        plan = IonPlan(
            self.patient, self.uid("plan"), self.uid("study"), self.uid("plan series"), self.uid("frame"),
            self.uid("structure set"), "Prostate", MACHINE, beams, fractions=3, prescription=2.0,
            target="prostate", dose_sop_instance_uid=self.uid("dose"), created="20261122100000",
        )  # fmt: skip
        return replace(plan, **changes)  # type: ignore[arg-type]

    def plan(self, **changes: object) -> Dataset:
        return ion_plan.to_dataset(self.ion_plan(**changes))

    def dose(self, patient: PatientIdentity | None = None) -> Dataset:
        grid = rt_dose.DoseGrid(
            np.full((3, 4, 4), 2.0, dtype=np.float32), (-5.0, -5.0, 0.0), (2.5, 2.5, 3.0),
            patient or self.patient, self.uid("dose"), self.uid("study"), self.uid("dose series"),
            self.uid("frame"), self.uid("plan"), structure_set_uid=self.uid("structure set"),
            created="20261122100000",
        )  # fmt: skip
        return rt_dose.to_dataset(grid)

    def record(self, part: int = 1, whole: bool = True, fraction: int = 1, **changes: object) -> Dataset:
        """Part 1 whole: both beams. Part 1 not whole: beam 1 cut in its second layer. Part 2: the rest."""
        beams = [self._beam(beam, part, whole) for beam in self.ion_plan().beams]
        start = START_NS + part * 60_000_000_000
        record = TreatmentRecord(
            self.patient, self.uid(f"record {fraction} {part}"), self.uid("study"), self.uid("record series"),
            self.uid("plan"), fraction, 3, part, MACHINE, tuple(beam for beam in beams if beam is not None),
            start, start + 40_000_000_000, ("Li^Ming",), "therapist", 10.0, {"counts_per_mu": 20000.0},
        )  # fmt: skip
        return ion_record.to_dataset(replace(record, **changes))  # type: ignore[arg-type]

    def _beam(self, beam: IonBeam, part: int, whole: bool) -> BeamRecord | None:
        cut = beam.number == 1 and not whole
        if (part == 1 and not whole and beam.number == 2) or (part == 2 and whole):
            return None
        layers = []
        for index, layer in enumerate(beam.layers):
            first = layer.mu * np.array([1, 0, 0], dtype=np.float32) if cut and index == 1 else layer.mu
            mu = first if part == 1 else (layer.mu - first if cut else layer.mu)
            if part == 2 and cut and index == 0:
                mu = layer.mu * 0
            start = START_NS + part * 60_000_000_000 + beam.number * 15_000_000_000 + index * 3_000_000_000
            given = bool(mu.any())
            layers.append(
                LayerRecord(
                    layer.energy, layer.x, layer.y, mu.astype(np.float32), mu.astype(np.float32),
                    layer.x * 0 + 4, layer.x * 0 + 4, layer.mu, start if given else 0,
                    start + 2_000_000_000 if given else 0, "T1" if given else "",
                )
            )  # fmt: skip
        interrupted = cut and part == 1
        return BeamRecord(
            beam.number, beam.name, beam.gantry, beam.couch, (0.0, 0.0, 0.0), 400.0, beam.meterset,
            tuple(layers), "OPERATOR" if interrupted else "NORMAL",
            "CONTINUATION" if part == 2 and cut else "TREATMENT", "operator request" if interrupted else "",
        )  # fmt: skip


OTHER = Case("B", PatientIdentity("PT-0002", "Li^Na=李^娜", "19720815", "F"))
