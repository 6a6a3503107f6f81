"""The means of the front desk: photos, labels, rules of numbers, and the hospital's own system."""

from dataclasses import dataclass

from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.services.ports import FileStore, HospitalSystem, LabelComposer


@dataclass(frozen=True)
class Desk:
    """`barcodes` and `patient_ids`: how numbers are made. `his`: the hospital information system."""

    photos: FileStore
    labels: LabelComposer
    his: HospitalSystem
    barcodes: BarcodeRule
    patient_ids: BarcodeRule
