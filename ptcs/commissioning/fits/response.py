"""Response matrices: measured from up and down steps, inverted with as many directions as the data bear."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput
from common.text import _
from ptcs.commissioning.bench import Floats


@dataclass(frozen=True)
class Response:
    """matrix, error (n, k): change of n measurements per setting of k knobs, one sigma."""

    matrix: Floats
    error: Floats


@dataclass(frozen=True)
class Correction:
    """change (k,) of the knobs; used: singular values kept; values (s,): all of them, greatest first.

    expected (n,): what should be left. predicted_rms, before_rms: of what is left and of what there was.
    """

    change: Floats
    used: int
    values: Floats
    expected: Floats
    before_rms: float
    predicted_rms: float


def from_steps(settings: Floats, start: Floats, mean: Floats, error: Floats) -> Response:
    """Response from steps of one knob at a time: settings (p, k), start (k,), mean and error (p, n).

    A column is (up - down) / (difference of settings): what drifts slowly cancels. Raises BadInput for a
    knob without two steps.
    """
    moved = ~np.isclose(settings, start[None, :], rtol=0.0, atol=1e-12)
    columns, errors = [], []
    for k in range(settings.shape[1]):
        rows = np.flatnonzero(moved[:, k] & (moved.sum(axis=1) == 1))
        if len(rows) < 2:
            raise BadInput(_("knob {number} of a response was not moved up and down").format(number=k + 1))
        up, down = rows[np.argmax(settings[rows, k])], rows[np.argmin(settings[rows, k])]
        span = settings[up, k] - settings[down, k]
        columns.append((mean[up] - mean[down]) / span)
        errors.append(np.hypot(error[up], error[down]) / abs(span))
    return Response(np.array(columns).T, np.array(errors).T)


def usable(response: Response, reading: Floats) -> NDArray[np.bool_]:
    """Which measurements have a reading and a whole row of the response, (n,) bool."""
    good: NDArray[np.bool_] = np.isfinite(reading) & np.isfinite(response.matrix).all(axis=1)
    return good


def kept_directions(response: Response) -> int:
    """How many singular values stand above the noise of the matrix.

    A matrix of errors alone, of n x k entries of standard deviation s, has singular values up to
    s (sqrt n + sqrt k) (Davidson and Szarek 2001): directions below that are noise.
    """
    good = np.isfinite(response.matrix).all(axis=1)
    matrix, error = response.matrix[good], response.error[good]
    n, k = matrix.shape
    known = error[np.isfinite(error)]
    edge = float(np.sqrt(np.mean(known**2))) * (np.sqrt(n) + np.sqrt(k)) if known.size else 0.0
    return int(np.sum(np.linalg.svd(matrix, compute_uv=False) > max(edge, 1e-12)))


def correct(
    response: Response, reading: Floats, wanted: Floats, error: Floats | None = None, keep: int | None = None
) -> Correction:
    """Knob changes that bring readings (n,) to what is wanted (n,), by the truncated pseudo-inverse.

    keep: singular values used; None: chosen by the data. Directions are taken, greatest first, from those
    above the noise of the matrix, as long as what they take from the reading is more than its own noise
    gives to them (error (n,), one sigma). Chao and Tigner, Handbook of Accelerator Physics, 4.7.
    """
    good = usable(response, reading)
    if not good.any():
        raise BadInput(_("no measurement of the response has a reading"))
    matrix, gap = response.matrix[good], (reading - wanted)[good]
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    share = left.T @ gap
    if keep is None:
        above = kept_directions(response)
        noise = 0.0 if error is None else float(np.nanmean(error[good] ** 2))
        worth = [i for i in range(min(above, len(values))) if share[i] ** 2 > noise]
    else:
        worth = list(range(min(keep, int(np.sum(values > 1e-12)))))
    change = -right[worth].T @ (share[worth] / values[worth]) if worth else np.zeros(matrix.shape[1])
    left_over = gap + matrix @ change
    expected = np.full(len(reading), np.nan)
    expected[good] = left_over
    rms = [float(np.sqrt(np.mean(each**2))) for each in (gap, left_over)]
    return Correction(change, len(worth), values, expected, rms[0], rms[1])


def limited(change: Floats, now: Floats, limits: Floats) -> tuple[Floats, float]:
    """The change (k,), scaled by the share that keeps every knob within limits (k, 2); and that share."""
    share = 1.0
    for k in np.flatnonzero(change):
        room = (limits[k, 1] - now[k]) if change[k] > 0 else (limits[k, 0] - now[k])
        share = min(share, max(float(room / change[k]), 0.0))
    return change * share, share
