"""Range shifters of a beam of an RT Ion Plan (PS3.3 C.8.8.25): which stand in it, as what and where."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from common.dicom.modules import has, integer, items, number, text
from common.errors import BadDicom

_LENGTHS = ("RangeShifterWaterEquivalentThickness", "IsocenterToRangeShifterDistance")


@dataclass(frozen=True)
class Setting:
    """A range shifter of a beam. wet: mm of water, distance: mm to the isocentre; None: not stated."""

    name: str
    inside: bool
    wet: float | None = None
    distance: float | None = None


def settings_of(ds: Dataset, points: list[Dataset]) -> dict[int, Setting]:
    """The settings of a beam's range shifters by number, as they hold for the whole beam.

    ds: item of IonBeamSequence; points: its control points. One that no control point sets is in the beam.
    Raises BadDicom for a range shifter that is not described, or that changes during the beam.
    """
    listed = {
        integer(item, "RangeShifterNumber"): text(item, "RangeShifterID")
        for item in items(ds, "RangeShifterSequence")
    }
    if int(number(ds, "NumberOfRangeShifters", 0.0)) > len(listed):
        raise BadDicom(
            f"NumberOfRangeShifters is {text(ds, 'NumberOfRangeShifters')}, RangeShifterSequence holds "
            f"{len(listed)}; export the plan with its range shifters"
        )
    found = dict.fromkeys(listed, Setting("", True))
    for index, point in enumerate(points):
        for item in items(point, "RangeShifterSettingsSequence"):
            key = integer(item, "ReferencedRangeShifterNumber")
            if key not in listed:
                raise BadDicom(
                    f"control point {index} sets range shifter {key}, which the beam does not list"
                )
            found[key] = _merged(found[key], item, index)
    return {key: Setting(name or str(key), found[key].inside, found[key].wet, found[key].distance)
            for key, name in listed.items()}  # fmt: skip


def _merged(before: Setting, item: Dataset, index: int) -> Setting:
    """What held before and what a control point says. Raises BadDicom when they differ."""
    inside = text(item, "RangeShifterSetting", "IN" if before.inside else "OUT") != "OUT"
    wet, distance = (number(item, keyword) if has(item, keyword) else None for keyword in _LENGTHS)
    changes = index > 0 and (
        inside != before.inside or _other(before.wet, wet) or _other(before.distance, distance)
    )
    if changes:
        raise BadDicom(
            f"control point {index} moves a range shifter during the beam: allowed is one setting a beam; "
            "split the beam where it changes"
        )
    return Setting(
        "", inside, before.wet if wet is None else wet, before.distance if distance is None else distance
    )


def _other(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and abs(now - before) > 1e-3
