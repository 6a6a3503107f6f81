"""Phantoms for the tests of the planning engine."""

import numpy as np

from common.dicom.ct import CtVolume
from common.dicom.plan import PatientIdentity
from common.dicom.structures import Roi, StructureSet

NOBODY = PatientIdentity("P1", "Phantom^Water", "19700101", "O")


def box(x, y, z_planes):
    """Rectangle contours x = (low, high), y = (low, high) on the given planes."""
    corners = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
    return tuple(np.array([(a, b, z) for a, b in corners], dtype=float) for z in z_planes)


def water_ct(shape=(40, 60, 50), spacing=3.0, hu=0.0):
    """Water everywhere, centred on (0, 0, 0)."""
    nz, ny, nx = shape
    origin = tuple(-0.5 * (count - 1) * spacing for count in (nx, ny, nz))
    return CtVolume(
        np.full(shape, hu, dtype=np.float32), origin, (spacing,) * 3, NOBODY, "1.2.1", "1.2.2", "1.2.3",
        tuple(f"1.2.4.{k}" for k in range(nz)),
    )  # fmt: skip


def regions(**rois):
    """A structure set; each value is (kind, contours)."""
    return StructureSet(
        NOBODY, "1.2.5", "1.2.1", "1.2.6", "1.2.3", "1.2.2", "phantom",
        {name: Roi(k, name, kind, contours) for k, (name, (kind, contours)) in enumerate(rois.items(), 1)},
    )  # fmt: skip


def water_box():
    """A water box with a body outline two voxels inside the image, a 30 mm cube and an organ behind it."""
    ct = water_ct()
    z = ct.z
    inside = z[2:-2]
    target = z[np.abs(z) < 15.0]
    return ct, regions(
        External=("EXTERNAL", box((-68, 68), (-84, 84), inside)),
        cube=("PTV", box((-15, 15), (-15, 15), target)),
        organ=("ORGAN", box((-15, 15), (25, 45), target)),
    )
