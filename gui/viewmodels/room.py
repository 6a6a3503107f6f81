"""What the room panel shows, worked out from attribute readings. No Qt, no Tango."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.text import _, language
from gui import theme
from interlock.matrix import Input, Kind

SESSION_ATTRIBUTES = (
    "SessionState",
    "LegalSteps",
    "PatientName",
    "PatientId",
    "PlanLabel",
    "FractionNumber",
    "BeamNumber",
    "BeamName",
    "BeamCount",
    "Layer",
    "LayerCount",
    "Energy",
    "Spot",
    "SpotCount",
    "DeliveredMU",
    "PlannedMU",
    "DoseRate",
    "Progress",
    "InterlockText",
    "Cause",
    "RecordState",
    "SpotMap",
)

BUTTONS = {
    "start": "StartIrradiation",
    "interrupt": "InterruptIrradiation",
    "resume": "ResumeIrradiation",
    "terminate": "TerminateIrradiation",
}


def state_text(state: str) -> tuple[str, theme.Mark]:
    """The words and the mark of a session state; an unknown one is shown as such, never as good."""
    texts = {
        "IDLE": (_("No plan loaded"), theme.IDLE),
        "LOADED": (_("Plan loaded, identity not confirmed"), theme.BUSY),
        "IDENTIFIED": (_("Identity confirmed, not positioned"), theme.BUSY),
        "POSITIONED": (_("Positioned, set-up not verified"), theme.BUSY),
        "VERIFIED": (_("Set-up verified, beam not requested"), theme.BUSY),
        "READY": (_("Ready for beam"), theme.GOOD),
        "IRRADIATING": (_("Irradiating"), theme.BEAM),
        "INTERRUPTED": (_("Interrupted"), theme.HELD),
        "BEAM_DONE": (_("Field delivered"), theme.GOOD),
        "COMPLETE": (_("All fields delivered"), theme.GOOD),
        "RECORDED": (_("Delivered and recorded"), theme.GOOD),
        "TERMINATED": (_("Terminated"), theme.BAD),
        "FAULT": (_("Fault"), theme.BAD),
    }
    return texts.get(state, (_("State unknown"), theme.BAD))


@dataclass
class RoomView:
    """The latest good readings of one room's session; a lost reading is None."""

    readings: dict[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    """Rows of the interlock matrix by name, for their texts."""

    def take(self, name: str, value: Any) -> None:
        """A new reading of an attribute; None when it is lost."""
        self.readings[name] = value

    def banner(self) -> tuple[str, theme.Mark]:
        """The one line that says where the treatment stands, with the cause if it is interrupted."""
        state = str(self.readings.get("SessionState") or "")
        text, mark = state_text(state)
        cause = str(self.readings.get("Cause") or "")
        if state in ("INTERRUPTED", "TERMINATED", "FAULT") and cause:
            text = f"{text}: {cause}"
        return f"{mark.symbol}  {text}", mark

    def enabled(self) -> Mapping[str, bool]:
        """Which of the four irradiation buttons is legal now; none while the session is unknown."""
        legal: Iterable[str] = self.readings.get("LegalSteps") or ()
        steps = {str(step) for step in legal}
        return {button: command in steps for button, command in BUTTONS.items()}

    def text(self, name: str, form: str = "{}") -> str:
        """A reading as text; a dash with a question mark when it is lost."""
        value = self.readings.get(name)
        return "— ?" if value is None else form.format(value)

    def patient_name(self) -> str:
        """The patient's name without the separators of a DICOM person name."""
        return " ".join(part for part in self.text("PatientName").split("^") if part)

    def layer(self) -> str:
        """The present layer, counted from 1, of how many."""
        index = self.readings.get("Layer")
        number = "— ?" if index is None else str(int(index) + 1)
        return f"{number} / {self.text('LayerCount')}"

    def gantry(self) -> str:
        """Gantry angle, IEC 61217, 0 <= angle < 360 degrees."""
        angle = self.readings.get("Angle")
        return "— ?" if angle is None else f"{float(angle) % 360.0:.1f} °"

    def record(self) -> str:
        """Whether the records are at the OIS."""
        texts = {
            "NONE": f"{theme.IDLE.symbol} {_('nothing to send yet')}",
            "QUEUED": f"{theme.BUSY.symbol} {_('waiting for the OIS')}",
            "DELIVERED": f"{theme.GOOD.symbol} {_('received')}",
        }
        return texts.get(str(self.readings.get("RecordState")), f"{theme.BAD.symbol} — ?")

    def dose(self) -> str:
        """Delivered and planned meterset of the field."""
        return f"{self.text('DeliveredMU', '{:.2f}')} / {self.text('PlannedMU', '{:.2f}')} MU"

    def interlock(self) -> tuple[str, theme.Mark]:
        """Interlock lines: the reasons, or that beam is permitted; unknown is shown as bad."""
        text = self.readings.get("InterlockText")
        if text is None:
            return f"{theme.BAD.symbol}  {_('Interlock state unknown')}", theme.BAD
        bad = [name.strip() for name in str(text).split(",") if name.strip()]
        faults = [name for name in bad if self._kind(name) is Kind.FAULT]
        if faults:
            return "\n".join(f"{theme.BAD.symbol}  {self._input_text(name)}" for name in faults), theme.BAD
        if any(self._kind(name) is Kind.REQUEST for name in bad):
            return f"{theme.IDLE.symbol}  {_('No fault; beam is not requested')}", theme.IDLE
        return f"{theme.GOOD.symbol}  {_('Beam permitted')}", theme.GOOD

    def _kind(self, name: str) -> Kind:
        return self.inputs[name].kind if name in self.inputs else Kind.FAULT

    def _input_text(self, name: str) -> str:
        if name not in self.inputs:
            return name
        text = self.inputs[name].text
        return text.zh if language() == "zh" else text.en

    def spots(self) -> NDArray[np.float64]:
        """Spots of the present field, (n, 5): layer, x mm, y mm, planned MU, delivered MU."""
        table = self.readings.get("SpotMap")
        if table is None or np.size(table) == 0:
            return np.empty((0, 5))
        return np.asarray(table, dtype=np.float64).reshape(-1, 5)

    def layer_spots(self) -> NDArray[np.float64]:
        """Spots of the present layer only."""
        spots = self.spots()
        present: NDArray[np.float64] = spots[spots[:, 0] == float(self.readings.get("Layer") or 0)]
        return present

    def layer_bars(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Planned and delivered MU of each layer."""
        spots = self.spots()
        if not len(spots):
            return np.empty(0), np.empty(0)
        layer = spots[:, 0].astype(int)
        planned, delivered = (np.bincount(layer, spots[:, column]) for column in (3, 4))
        return np.asarray(planned, np.float64), np.asarray(delivered, np.float64)
