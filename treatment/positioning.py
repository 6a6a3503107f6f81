"""Where couch and gantry must stand for a beam, and whether they do. IEC 61217 axes, mm and degrees."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.dicom.plan import IonBeam, IonPlan
from common.errors import Refused
from common.text import _

COUCH_MM = 1.0
COUCH_DEG = 0.5
GANTRY_DEG = 0.5


@dataclass(frozen=True)
class Target:
    """Where the room must stand. couch: axis -> position (x, y, z mm; pitch, roll, yaw deg)."""

    gantry: float
    couch: Mapping[str, float]


@dataclass(frozen=True)
class Setup:
    """What the room reads back. moving: couch or gantry is in motion. Air in degC and hPa."""

    gantry: float
    couch: Mapping[str, float]
    moving: bool
    temperature: float
    pressure: float

    def values(self) -> dict[str, float]:
        """The numbers by name, as journal and record keep them."""
        couch = {f"couch_{axis}": float(value) for axis, value in self.couch.items()}
        return {
            "gantry": self.gantry,
            **couch,
            "temperature": self.temperature,
            "pressure": self.pressure,
        }


def signed_angle(angle: float) -> float:
    """The same angle in (-180, 180] deg."""
    wrapped = angle % 360.0
    return wrapped - 360.0 if wrapped > 180.0 else wrapped


def target(plan: IonPlan, beam: IonBeam) -> Target:
    """Where the room must stand for a beam of a head-first supine plan.

    The set-up reference (couch translation zero) is the isocentre of the plan's first beam, to which the
    patient is aligned; another isocentre is reached by the shift between the two. For HFS the patient's
    left, posterior, superior are IEC +x, -z, +y, and the couch moves against the shift.
    Raises Refused for another patient position.
    """
    if plan.patient_position != "HFS":
        raise Refused(
            _("patient position {position}: this couch treats HFS only").format(
                position=plan.patient_position
            )
        )
    first = plan.beams[0].isocentre
    left, back, up = (here - there for here, there in zip(beam.isocentre, first, strict=True))
    couch = {
        "x": -left,
        "y": -up,
        "z": back,
        "pitch": 0.0,
        "roll": 0.0,
        "yaw": signed_angle(beam.couch),
    }
    # Adding zero turns the -0.0 of an unshifted axis into 0.0.
    return Target(signed_angle(beam.gantry), {axis: value + 0.0 for axis, value in couch.items()})


def check_setup(wanted: Target, found: Setup) -> None:
    """Raise Refused unless everything stands still and within tolerance, naming all that does not."""
    off: list[str] = []
    if found.moving:
        off.append(_("couch or gantry is moving"))
    turn = abs(signed_angle(found.gantry - wanted.gantry))
    if not turn <= GANTRY_DEG:
        off.append(
            _("gantry at {found:.2f} deg, planned {wanted:.2f}").format(
                found=found.gantry, wanted=wanted.gantry
            )
        )
    for axis, position in wanted.couch.items():
        angular = axis in ("pitch", "roll", "yaw")
        gap = found.couch.get(axis, float("nan")) - position
        gap = abs(signed_angle(gap)) if angular else abs(gap)
        if not gap <= (COUCH_DEG if angular else COUCH_MM):
            off.append(
                _("couch {axis} at {found:.2f}, planned {wanted:.2f}").format(
                    axis=axis, found=found.couch.get(axis, float("nan")), wanted=position
                )
            )
    if off:
        raise Refused(_("set-up is not as planned: {what}").format(what="; ".join(off)))
