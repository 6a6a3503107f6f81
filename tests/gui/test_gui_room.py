"""What the room panel shows: unknown is never shown as good, only legal buttons are enabled."""

import numpy as np
import pytest

from common import site
from gui.viewmodels.room import BUTTONS, SESSION_ATTRIBUTES, RoomView, state_text
from interlock.matrix import load
from treatment.session import State


@pytest.fixture
def view() -> RoomView:
    matrix = load(site.load().interlock_path)
    return RoomView(inputs={row.name: row for row in matrix.inputs})


@pytest.mark.requirement("TCS-DISPLAY")
def test_a_panel_without_readings_shows_nothing_as_good(view: RoomView) -> None:
    for name in SESSION_ATTRIBUTES:
        view.take(name, None)
    assert view.banner()[0].startswith("✘")
    assert view.interlock()[0].startswith("✘")
    assert view.record().startswith("✘")
    assert set(view.enabled().values()) == {False}
    assert "?" in view.dose()
    assert "?" in view.layer()
    assert len(view.spots()) == 0


@pytest.mark.requirement("TCS-DISPLAY")
def test_every_session_state_has_words_and_a_symbol() -> None:
    unknown = state_text("no such state")
    for state in State:
        assert state_text(str(state.value)) != unknown, state


@pytest.mark.requirement("TCS-DISPLAY")
@pytest.mark.requirement("TCS-WORKFLOW")
def test_interrupted_field(view: RoomView) -> None:
    spots = np.array([[0, -5.0, 1.0, 2.0, 2.0], [0, 5.0, 1.0, 1.0, 0.25], [1, 0.0, 0.0, 3.0, 0.0]])
    readings = {
        "SessionState": "INTERRUPTED",
        "Cause": "interrupted by li",
        "LegalSteps": ("ResumeIrradiation", "TerminateIrradiation"),
        "InterlockText": "vacuum, session.request",
        "PatientName": "Demo^Pelvis",
        "Layer": 0,
        "LayerCount": 2,
        "DeliveredMU": 2.25,
        "PlannedMU": 6.0,
        "SpotMap": spots,
    }
    for name, value in readings.items():
        view.take(name, value)
    assert "interrupted by li" in view.banner()[0]
    assert [name for name, legal in view.enabled().items() if legal] == ["resume", "terminate"]
    assert view.interlock()[0] == f"✘  {view.inputs['vacuum'].text.en}"
    assert (view.patient_name(), view.layer(), view.dose()) == ("Demo Pelvis", "1 / 2", "2.25 / 6.00 MU")
    assert len(view.layer_spots()) == 2
    planned, delivered = view.layer_bars()
    np.testing.assert_allclose(planned, [3.0, 3.0])
    np.testing.assert_allclose(delivered, [2.25, 0.0])
    view.take("InterlockText", "session.request, mode.service")
    assert view.interlock()[0].startswith("○")
    view.take("InterlockText", "mode.service")
    assert view.interlock()[0].startswith("✔")
    assert set(BUTTONS) == set(view.enabled())
