"""The private block of PTCS (PS3.5 7.8.1): what the standard has no attribute for.

Private creator `PTCS`, in group 300B of plans and 3009 of treatment records. An implementation that does
not know the block keeps its elements as UN; numbers are therefore float32 arrays whose bytes are the same
under any VR (OF, little endian), and texts are UTF-8 (UT).

| element | VR | in | what |
|---|---|---|---|
| (300B,xx01) | UT | plan | name of the RBE model of the prescription |
| (3009,xx01) | UT | record | JSON: part, verified_by, operators, clock_factor, start_ns, end_ns, monitor |
| (3009,xx10) | UT | beam item | JSON: cause, all planned layers (energy, spots, paintings, times, tune) |
| (3009,xx13) | OF | beam item | rows of 2, each planned spot: measured x, y, mm |
| (3009,xx14) | OF | beam item | secondary meterset of each planned spot, MU |
| (3009,xx15) | OF | beam item | rows of 2, each planned spot: measured sigma x, y, mm |
| (3009,xx16) | OF | beam item | meterset that the plan asks of the whole fraction, each planned spot, MU |
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.errors import BadDicom

CREATOR = "PTCS"
PLAN_GROUP = 0x300B
RECORD_GROUP = 0x3009

RBE_MODEL = 0x01
SESSION = 0x01
BEAM = 0x10
SPOT_POSITION = 0x13
SPOT_SECONDARY = 0x14
SPOT_SIGMA = 0x15
SPOT_PRESCRIBED = 0x16

_FLOAT = np.dtype("<f4")


def put_text(ds: Dataset, group: int, element: int, value: str) -> None:
    """Add a text (UT) to the block."""
    ds.private_block(group, CREATOR, create=True).add_new(element, "UT", value)


def put_array(ds: Dataset, group: int, element: int, values: NDArray[np.float32]) -> None:
    """Add a float32 array (OF) to the block, flattened."""
    data = np.ascontiguousarray(values, dtype=_FLOAT).tobytes()
    ds.private_block(group, CREATOR, create=True).add_new(element, "OF", data)


def get_bytes(ds: Dataset, group: int, element: int) -> bytes | None:
    """The raw value, or None where the block or the element is absent."""
    try:
        value = ds.private_block(group, CREATOR)[element].value
    except KeyError:
        return None
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def get_text(ds: Dataset, group: int, element: int) -> str | None:
    """A text, or None where it is absent. Raises BadDicom when it is no UTF-8."""
    value = get_bytes(ds, group, element)
    try:
        return None if value is None else value.decode().rstrip(" \0")
    except UnicodeDecodeError as why:
        raise BadDicom(f"private element ({group:04X},xx{element:02X}) is no text") from why


def get_array(ds: Dataset, group: int, element: int, columns: int) -> NDArray[np.float32]:
    """An array written by `put_array`, (n, columns). Raises BadDicom when it is absent or cut off."""
    value = get_bytes(ds, group, element)
    if value is None or len(value) % (_FLOAT.itemsize * columns):
        raise BadDicom(f"private element ({group:04X},xx{element:02X}) is missing or cut off")
    return np.frombuffer(value, _FLOAT).astype(np.float32).reshape(-1, columns)
