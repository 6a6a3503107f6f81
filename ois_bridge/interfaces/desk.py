"""Opens the means of the front desk: its photos, its rules, and the line to the hospital's system."""

from pathlib import Path

from common.yaml_file import CONFIG, load_checked
from ois_bridge.domain.barcode import BarcodeRule
from ois_bridge.interfaces.file_store import DiskFiles
from ois_bridge.interfaces.his import Hl7His, NoHis
from ois_bridge.interfaces.labels import Labels
from ois_bridge.services.desk import Desk


def open_desk(root: Path) -> Desk:
    """The desk of an OIS directory: photos in `photos/`, the HIS's address in `his.yaml` (host, port,
    optionally timeout_s), rules in `barcode.yaml` where the house has its own, else the department's.

    Raises BadConfig, OSError.
    """
    own = root / "barcode.yaml"
    rules = load_checked(own if own.exists() else CONFIG / "department" / "barcode.yaml", "barcode")
    address = root / "his.yaml"
    return Desk(
        photos=DiskFiles(root / "photos"),
        labels=Labels(),
        his=Hl7His(**load_checked(address, "his")) if address.exists() else NoHis(),
        barcodes=BarcodeRule(**rules["barcode"]),
        patient_ids=BarcodeRule(**rules["patient_id"]),
    )
