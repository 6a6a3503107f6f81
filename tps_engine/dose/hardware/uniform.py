"""Uniform scanning: layers of even fluence over a rectangle, aperture and compensator from the target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import contourpy
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, distance_transform_edt, maximum_filter
from scipy.optimize import nnls

from common.dicom.plan import Aperture, Compensator, IonBeam, IonLayer
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata import bragg
from tps_engine.beamdata.model import BeamModel
from tps_engine.dose.hardware import plates, ripple
from tps_engine.dose.raytrace import water_depth
from tps_engine.patient.grid import Floats
from tps_engine.patient.model import Patient
from tps_engine.plan.geometry import BeamFrame

_FLAT = 2.2  # peaks so many of their widths apart add up to a flat dose
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True)
class UniformOptions:
    """Choices of a uniform-scanning field; lengths in mm.

    lateral, distal, proximal: margins about the target, the latter two of water. smearing: radius within
    which the compensator takes the thinnest. aperture, compensator: heights of their downstream faces
    above the isocentre. rsp: of the compensator. pixel: of compensator and aperture. spacing: of the raster
    of spots; beyond: how far the rectangle reaches over the opening.
    """

    lateral: float = 6.0
    distal: float = 3.0
    proximal: float = 3.0
    smearing: float = 3.0
    aperture: float = 180.0
    compensator: float = 150.0
    rsp: float = 1.159
    pixel: float = 2.0
    spacing: float = 4.0
    beyond: float = 15.0
    layer_step: float = 5.0


@dataclass(frozen=True)
class UniformField:
    """A designed field. beam: as a plan holds it, 1 Gy of physical dose on average in the peak region.

    weights: (k,) relative fluence of the layers, deepest first. span: (shallow, deep) mm of water with flat
    dose, behind the compensator.
    """

    beam: IonBeam
    weights: Floats
    span: tuple[float, float]


def design(
    patient: Patient,
    points: Floats,
    frame: BeamFrame,
    angles: tuple[float, float],
    model: BeamModel,
    options: UniformOptions,
    ripple_filter: str | None = None,
) -> UniformField:
    """A uniform-scanning field for a target given by points (n, 3) in patient mm, dense against `pixel`.

    angles: gantry and couch in degrees. Raises BadInput for an empty target or one that the machine does
    not reach.
    """
    if not len(points):
        raise BadInput(_("the target is empty: there is nothing to plan on"))
    depth, _surface = water_depth(patient.rsp, patient.grid, frame, points)
    x, y, inside, deepest = _seen(frame.project(points), depth.astype(np.float64), options)
    reach = float(deepest[inside].max()) + options.distal
    plate = _compensator(x, y, inside, deepest, options)
    seen = frame.project(points)
    passed = depth + plates.water_thickness(plate, seen[:, 0], seen[:, 1])
    span = (max(float(passed.min()) - options.proximal, 0.0), reach)
    slope, top = np.polyfit(passed, seen[:, 2], 1) if len(points) > 1 else (0.0, float(seen[0, 2]))
    sad = np.asarray(frame.sad)
    opening = _dilated(inside, options.lateral / options.pixel)
    aperture = Aperture("A1", outlines(x, y, opening), options.aperture, 65.0)
    draft = IonBeam(
        1, "uniform", *angles, _triple(frame.isocentre), (), frame.sad, ripple_filter=ripple_filter
    )
    behind = ripple.for_beam(model, draft)
    energies, weights = spread_out(
        behind,
        span,
        options.layer_step,
        lambda water: 1.0 / np.prod(1.0 - (top + slope * water)[:, None] / sad, axis=1),
    )
    layers = _layers(behind, energies, weights, x, y, opening, options)
    beam = IonBeam(
        1, "uniform", *angles, _triple(frame.isocentre), layers, frame.sad, options.aperture, None,
        _named(ripple_filter), None, None, aperture, plate, ripple_filter,
    )  # fmt: skip
    return UniformField(beam, weights / weights[0], span)


def spread_out(
    model: BeamModel,
    span: tuple[float, float],
    step: float,
    fluence: Callable[[Floats], Floats] = np.ones_like,
) -> tuple[Floats, Floats]:
    """Energies (k,), falling, and protons per mm2 (k,) that give 1 Gy over a span of depths in mm of water.

    Non-negative least squares on integral depth doses; layers `step` mm apart or nearer. fluence: how much
    more than on the isocentric plane there is of it at depths (n,), as the fan narrows towards the source.
    Raises BadInput for a span that the machine does not reach.
    """
    peaks, widths = model.peaks()
    low, high = span
    if high > peaks[-1] or high < peaks[0]:
        raise BadInput(
            _("a spread-out peak to {depth} mm of water: machine {name} reaches {low} to {high} mm").format(
                depth=f"{high:.0f}", name=model.name, low=f"{peaks[0]:.0f}", high=f"{peaks[-1]:.0f}"
            )
        )
    row = int(np.searchsorted(peaks, high))
    rows = [row]
    while peaks[row] > low and row > 0:
        gap = min(step, _FLAT * widths[row])
        row = min(int(np.argmin(np.abs(peaks - (peaks[row] - gap)))), row - 1)
        rows.append(row)
    flat = np.arange(low, high + 0.5, 0.5)
    curves = np.column_stack([
        bragg.integral_depth_dose(
            model.water, float(model.mean_energy[k]), float(model.spread[k]), model.depth_dose, flat
        )
        for k in rows
    ])  # fmt: skip
    curves = curves * fluence(flat)[:, None]
    scale = float(curves.max())
    weights, _miss = nnls(curves / scale, np.ones(len(flat)))
    used = weights > 0.0
    return model.energies[rows][used], np.asarray(weights[used] / scale)


def _seen(
    projected: Floats, depth: Floats, options: UniformOptions
) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Raster x, y, and on it (nx, ny) where the target is and its deepest point in mm of water."""
    low, high = projected[:, :2].min(axis=0), projected[:, :2].max(axis=0)
    room = options.lateral + options.smearing + 3.0 * options.pixel
    x, y = (plates.raster(float(low[k] - room), float(high[k] + room), options.pixel) for k in (0, 1))
    column = np.rint((projected[:, 0] - x[0]) / options.pixel).astype(int)
    row = np.rint((projected[:, 1] - y[0]) / options.pixel).astype(int)
    deepest = np.zeros((len(x), len(y)))
    np.maximum.at(deepest, (column, row), depth)
    inside = np.zeros(deepest.shape, dtype=bool)
    inside[column, row] = True
    inside = binary_closing(inside, iterations=2)
    nearest = distance_transform_edt(deepest == 0.0, return_distances=False, return_indices=True)
    return x, y, inside, deepest[tuple(nearest)]


def _compensator(
    x: Floats, y: Floats, inside: NDArray[np.bool_], deepest: Floats, options: UniformOptions
) -> Compensator:
    """Thickness that brings every ray's range to the target's distal face, smeared (Urie, Med Phys 1984)."""
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    filled = deepest[tuple(nearest)]
    radius = int(np.ceil(options.smearing / options.pixel))
    grid = np.arange(-radius, radius + 1) * options.pixel
    disc = np.hypot(grid[:, None], grid) <= options.smearing + 1e-6
    smeared = maximum_filter(filled, footprint=disc)
    thickness = (float(filled[inside].max()) - smeared) / options.rsp
    # rows run towards -y
    return Compensator(
        "C1", np.ascontiguousarray(np.maximum(thickness, 0.0).T[::-1]), (float(x[0]), float(y[-1])),
        (options.pixel, options.pixel), options.compensator, options.rsp,
    )  # fmt: skip


def outlines(x: Floats, y: Floats, opening: NDArray[np.bool_]) -> tuple[Floats, ...]:
    """Closed outlines, each (n, 2) mm, of an opening (nx, ny) on a raster; holes in it are filled."""
    lines = contourpy.contour_generator(x, y, opening.T.astype(float)).lines(0.5)
    found = [np.asarray(line[:-1], dtype=np.float64) for line in lines]
    return tuple(line for line in found if len(line) >= 3 and _area(line) > 0.0)


def _area(line: Floats) -> float:
    """Signed area; contours run counter-clockwise round what is high."""
    after = np.roll(line, -1, axis=0)
    return float(0.5 * (line[:, 0] * after[:, 1] - after[:, 0] * line[:, 1]).sum())


def _dilated(mask: NDArray[np.bool_], pixels: float) -> NDArray[np.bool_]:
    return np.asarray(distance_transform_edt(~mask) <= pixels)


def _layers(
    model: BeamModel,
    energies: Floats,
    weights: Floats,
    x: Floats,
    y: Floats,
    opening: NDArray[np.bool_],
    options: UniformOptions,
) -> tuple[IonLayer, ...]:
    """Layers of equal spots on a square raster over the opening's rectangle and `beyond`."""
    columns, rows = np.flatnonzero(opening.any(axis=1)), np.flatnonzero(opening.any(axis=0))
    lines = [
        plates.raster(
            float(axis[used[0]]) - options.beyond, float(axis[used[-1]]) + options.beyond, options.spacing
        )
        for axis, used in ((x, columns), (y, rows))
    ]
    across, up = (part.ravel() for part in np.meshgrid(*lines))
    layers = []
    for energy, fluence in zip(energies, weights, strict=True):
        row = model.index_of(float(energy))
        mu = fluence * options.spacing**2 / model.protons_per_mu[row]
        layers.append(
            IonLayer(
                float(energy), across.astype(np.float32), up.astype(np.float32),
                np.full(len(across), mu, dtype=np.float32),
                float(FWHM * model.sigma[row, 0]), float(FWHM * model.sigma[row, 1]),
            )
        )  # fmt: skip
    return tuple(layers)


def _named(ripple_filter: str | None) -> tuple[str, ...]:
    """Accessories by name, so that the beam is never delivered as if it had none."""
    return ("1 compensator", "1 block", *([] if ripple_filter is None else ["1 range modulator"]))


def _triple(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))
