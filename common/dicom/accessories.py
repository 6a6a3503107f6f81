"""Apertures and range compensators of an RT Ion Plan (PS3.3 C.8.8.25), read and written whole or not.

Outlines and thickness maps are projected onto the isocentric plane and stand in the IEC gantry system, which
is the standard's beam limiting device system at angle 0. What cannot be held (another angle, shielding
blocks, two compensators, offset columns) gives None: the beam then names the accessory and nothing more.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom.modules import decimal, has, integer, items, limited, number, sequence, text
from common.dicom.plan import Aperture, Compensator
from common.errors import BadDicom


def aperture_of(beam: Dataset, first: Dataset) -> Aperture | None:
    """The aperture of a beam, None where there is none or this model cannot hold it. Raises BadDicom."""
    blocks = items(beam, "IonBlockSequence")
    if not blocks or _turned(first):
        return None
    if any(text(block, "BlockType") != "APERTURE" or not has(block, "BlockData") for block in blocks):
        return None
    faces = {_face(block) for block in blocks}
    if len(faces) != 1:
        return None
    openings = tuple(_outline(block) for block in blocks)
    label = text(blocks[0], "BlockName") or text(blocks[0], "BlockTrayID") or "aperture"
    thickness = number(blocks[0], "BlockThickness", 0.0)
    return Aperture(label, openings, faces.pop(), thickness, text(blocks[0], "MaterialID"))


def compensator_of(beam: Dataset, first: Dataset) -> Compensator | None:
    """The compensator of a beam, None where there is none or this model cannot hold it. Raises BadDicom."""
    found = items(beam, "IonRangeCompensatorSequence")
    if len(found) != 1 or _turned(first):
        return None
    item = found[0]
    ready = all(
        has(item, key) for key in ("CompensatorThicknessData", "CompensatorRelativeStoppingPowerRatio")
    )
    if not ready or number(item, "CompensatorColumnOffset", 0.0) != 0.0:
        return None
    rows, columns = integer(item, "CompensatorRows"), integer(item, "CompensatorColumns")
    data = np.atleast_1d(np.asarray(item.CompensatorThicknessData, dtype=np.float64))
    if data.size != rows * columns or not np.isfinite(data).all() or data.min() < 0.0:
        raise BadDicom(
            f"compensator: {data.size} thicknesses for {rows} rows of {columns}, "
            "all of which must be numbers and not negative"
        )
    position, spacing = _pair(item, "CompensatorPosition"), _pair(item, "CompensatorPixelSpacing")
    tray = number(item, "IsocenterToCompensatorTrayDistance")
    upstream = text(item, "CompensatorMountingPosition") == "SOURCE_SIDE"
    return Compensator(
        text(item, "CompensatorID") or "compensator",
        data.reshape(rows, columns),
        position,
        (spacing[1], spacing[0]),
        tray if upstream else tray - float(data.max()),
        number(item, "CompensatorRelativeStoppingPowerRatio"),
        text(item, "MaterialID"),
    )


def put(ds: Dataset, aperture: Aperture | None, compensator: Compensator | None) -> None:
    """Write both into an item of IonBeamSequence, with their numbers. Raises BadDicom for an unusable one."""
    ds.NumberOfBlocks = 0 if aperture is None else len(aperture.openings)
    if aperture is not None:
        if not aperture.openings or any(len(outline) < 3 for outline in aperture.openings):
            raise BadDicom("aperture without an outline of three points or more")
        ds.IonBlockSequence = sequence([_block(aperture, k) for k in range(len(aperture.openings))])
    ds.NumberOfCompensators = 0 if compensator is None else 1
    if compensator is not None:
        ds.IonRangeCompensatorSequence = sequence([_plate(compensator)])


def _block(aperture: Aperture, index: int) -> Dataset:
    item, outline = Dataset(), aperture.openings[index]
    item.BlockTrayID = item.BlockName = limited("aperture id", aperture.id, 16)
    item.IsocenterToBlockTrayDistance = float(aperture.distance)
    item.BlockType, item.BlockDivergence, item.BlockMountingPosition = "APERTURE", "PRESENT", "SOURCE_SIDE"
    item.BlockNumber = index + 1
    item.MaterialID = limited("aperture material", aperture.material, 16)
    item.BlockThickness = decimal(aperture.thickness)
    item.BlockNumberOfPoints = len(outline)
    item.BlockData = [decimal(value) for value in np.asarray(outline, dtype=np.float64).ravel()]
    return item


def _plate(plate: Compensator) -> Dataset:
    item = Dataset()
    item.MaterialID = limited("compensator material", plate.material, 16)
    item.CompensatorID = limited("compensator id", plate.id, 16)
    item.CompensatorNumber = 1
    item.CompensatorDivergence, item.CompensatorMountingPosition = "PRESENT", "SOURCE_SIDE"
    item.IsocenterToCompensatorTrayDistance = float(plate.distance)
    item.CompensatorRows, item.CompensatorColumns = plate.thickness.shape
    item.CompensatorPixelSpacing = [decimal(plate.spacing[1]), decimal(plate.spacing[0])]
    item.CompensatorPosition = [decimal(value) for value in plate.first]
    item.CompensatorThicknessData = [decimal(value) for value in plate.thickness.ravel()]
    item.CompensatorRelativeStoppingPowerRatio = float(plate.rsp)
    return item


def _turned(first: Dataset) -> bool:
    return abs(number(first, "BeamLimitingDeviceAngle", 0.0)) > 1e-6


def _face(block: Dataset) -> float:
    """Height of the downstream face above the isocentre, mm."""
    tray = number(block, "IsocenterToBlockTrayDistance")
    behind = text(block, "BlockMountingPosition") == "PATIENT_SIDE"
    return tray - number(block, "BlockThickness", 0.0) if behind else tray


def _outline(block: Dataset) -> NDArray[np.float64]:
    flat = np.atleast_1d(np.asarray(block.BlockData, dtype=np.float64))
    if flat.size < 6 or flat.size != 2 * integer(block, "BlockNumberOfPoints"):
        raise BadDicom(
            f"aperture: {flat.size} values in BlockData, BlockNumberOfPoints is "
            f"{text(block, 'BlockNumberOfPoints')}: allowed are pairs of three points or more"
        )
    return flat.reshape(-1, 2)


def _pair(item: Dataset, keyword: str) -> tuple[float, float]:
    values = [float(value) for value in getattr(item, keyword, ())]
    if len(values) != 2 or not np.isfinite(values).all():
        raise BadDicom(f"{keyword}: {len(values)} values: allowed are two numbers")
    return values[0], values[1]
