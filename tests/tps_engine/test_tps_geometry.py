"""Gantry, couch and patient coordinates."""

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.plan.geometry import beam_frame, patient_to_gantry

SAD = (2000.0, 2560.0)


def source(gantry, couch=0.0, position="HFS"):
    frame = beam_frame(gantry, couch, (10.0, 20.0, 30.0), SAD, position)
    return frame.to_patient(np.array([[0.0, 0.0, 1.0]]))[0] - np.array([10.0, 20.0, 30.0])


@pytest.mark.requirement("TPS-DESIGN")
@pytest.mark.parametrize(
    ("gantry", "couch", "position", "direction"),
    [
        (0, 0, "HFS", (0, -1, 0)),  # from above: anterior
        (90, 0, "HFS", (1, 0, 0)),  # from the patient's left
        (180, 0, "HFS", (0, 1, 0)),
        (270, 0, "HFS", (-1, 0, 0)),
        (90, 90, "HFS", (0, 0, -1)),  # from the feet
        (0, 0, "HFP", (0, 1, 0)),
        (90, 0, "FFS", (-1, 0, 0)),
        (90, 0, "FFP", (1, 0, 0)),
    ],
)
def test_where_the_source_stands(gantry, couch, position, direction):
    assert source(gantry, couch, position) == pytest.approx(direction, abs=1e-12)


@pytest.mark.requirement("TPS-DESIGN")
def test_spot_axes_of_opposed_beams():
    """Gantry 0: x is the patient's left, y the head; gantry 180: x is mirrored, y stays."""
    point = np.array([[7.0, 0.0, 3.0]])
    assert beam_frame(0, 0, (0, 0, 0), SAD).project(point)[0] == pytest.approx([7.0, 3.0, 0.0])
    assert beam_frame(180, 0, (0, 0, 0), SAD).project(point)[0] == pytest.approx([-7.0, 3.0, 0.0])


@pytest.mark.requirement("TPS-DESIGN")
def test_rotations_are_proper_and_rays_meet_their_points():
    rng = np.random.default_rng(3)
    points = rng.uniform(-150.0, 150.0, (40, 3))
    for gantry, couch in rng.uniform(-180.0, 180.0, (10, 2)):
        frame = beam_frame(gantry, couch, (5.0, -8.0, 12.0), SAD)
        assert np.linalg.det(frame.rotation) == pytest.approx(1.0)
        assert frame.to_patient(frame.to_gantry(points)) == pytest.approx(points)
        projected = frame.project(points)
        # walking from a point against the beam, the ray keeps its place on the isocentric plane
        ahead = points + 80.0 * frame.towards_source(projected)
        again = frame.project(ahead)
        assert again[:, :2] == pytest.approx(projected[:, :2], abs=1e-9)
        assert (again[:, 2] > projected[:, 2] + 79.0).all()


@pytest.mark.requirement("TPS-DESIGN")
def test_an_unknown_patient_position_is_refused():
    with pytest.raises(BadInput, match="HFDL: allowed are HFS"):
        patient_to_gantry(0.0, 0.0, "HFDL")
