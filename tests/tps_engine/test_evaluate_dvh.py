"""Dose-volume histograms: numbers that can be worked out by hand."""

import numpy as np
import pytest

from common.errors import BadInput
from tps_engine.evaluate.dvh import dvh, organ_metrics, target_metrics

pytestmark = pytest.mark.requirement("TPS-EVALUATE")


def _ramp():
    """1000 voxels of dose 0.05, 0.15, ... 99.95 Gy in a structure beside voxels of 500 Gy outside it."""
    dose = np.full((20, 10, 10), 500.0)
    dose[:10] = (0.05 + 0.1 * np.arange(1000)).reshape(10, 10, 10)
    mask = np.zeros(dose.shape, bool)
    mask[:10] = True
    return dvh(dose, mask, voxel_mm3=8.0)


def test_a_ramp_of_doses():
    histogram = _ramp()
    assert histogram.volume_cm3 == pytest.approx(8.0)
    assert histogram.mean == pytest.approx(50.0)
    assert (histogram.minimum, histogram.maximum) == pytest.approx((0.05, 99.95))
    assert histogram.dose_to(95.0) == pytest.approx(5.0)
    assert histogram.dose_to(50.0) == pytest.approx(50.0)
    assert histogram.dose_to(2.0) == pytest.approx(98.0)
    assert histogram.volume_at(25.0) == pytest.approx(75.0)
    assert target_metrics(histogram, 2.0)["d98"] == pytest.approx(2.0)
    assert organ_metrics(histogram) == pytest.approx({"mean": 50.0, "max": 99.95, "d2": 98.0})


def test_the_curve_falls_from_everything_to_nothing():
    doses, volume = _ramp().curve(101)
    assert volume[0] == 100.0 and volume[-1] == 0.0
    assert np.all(np.diff(volume) <= 1e-9)
    assert np.interp(50.0, doses, volume) == pytest.approx(50.0, abs=0.5)


def test_partial_voxels_count_by_their_share():
    dose = np.array([[[1.0, 3.0]]])
    histogram = dvh(dose, np.array([[[1.0, 0.25]]]), 1000.0)
    assert histogram.mean == pytest.approx((1.0 + 0.75) / 1.25)
    assert histogram.volume_cm3 == pytest.approx(1.25)
    assert histogram.volume_at(2.0) == pytest.approx(20.0)


def test_an_empty_structure_is_refused():
    with pytest.raises(BadInput, match="no voxel"):
        dvh(np.ones((2, 2, 2)), np.zeros((2, 2, 2), bool), 1.0)
    with pytest.raises(BadInput, match="differ"):
        dvh(np.ones((2, 2, 2)), np.zeros((2, 2, 3), bool), 1.0)
    with pytest.raises(ValueError, match="0 to 100"):
        _ramp().dose_to(101.0)
