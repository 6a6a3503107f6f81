"""The spot map: where the spots of each beam were meant to lie and where they lay."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from common.text import _
from tps_engine.evaluate.centroids import BeamCentroids
from tps_engine.evaluate.delivered import DeliveredBeam
from tps_engine.evaluate.drawing import BLUE, FAINT, INK, RED, render

_BIGGEST = 170.0
"""Area in points^2 of the spot with the most MU of a layer."""


def spot_map(
    beams: Sequence[DeliveredBeam], centroids: Sequence[BeamCentroids], tolerance_mm: float, title: str
) -> bytes:
    """One column a beam. Above: the layer with the largest deviation, planned rings and delivered bubbles.

    Below: the deviations of all spots of the beam, with the tolerance as a circle.
    """
    norm = Normalize(0.0, tolerance_mm)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
        grid = figure.subplots(2, len(beams), squeeze=False, height_ratios=[1.5, 1.0])
        for column, (beam, places) in enumerate(zip(beams, centroids, strict=True)):
            picture = _layer(grid[0, column], beam, places, norm, tolerance_mm)
            _deviations(grid[1, column], beam, places, norm, tolerance_mm)
        bar = figure.colorbar(picture, ax=grid, shrink=0.6, aspect=35, pad=0.02, extend="max")
        bar.set_label(_("deviation (mm)"))
        bar.outline.set_visible(False)
        figure.legend(handles=_handles(), loc="outside lower center", ncols=4)

    return render(max(5.2 * len(beams) + 1.2, 7.0), 9.0, draw)


def shown_layer(beam: DeliveredBeam, places: BeamCentroids) -> int:
    """The layer that a reader should see: one without beam, else the one with the largest deviation."""
    planned = np.bincount(beam.layer, beam.planned_mu, len(beam.energies))
    given = np.bincount(beam.layer, beam.mu, len(beam.energies))
    missing = np.flatnonzero((planned > 0) & (given == 0))
    if missing.size:
        return int(missing[0])
    return int(beam.layer[int(np.argmax(np.nan_to_num(places.absolute)))])


def _layer(
    axes: Axes, beam: DeliveredBeam, places: BeamCentroids, norm: Normalize, limit: float
) -> PathCollection:
    layer = shown_layer(beam, places)
    here = beam.layer == layer
    scale = _BIGGEST / max(float(beam.planned_mu[here].max(initial=0.0)), 1e-12)
    axes.scatter(
        beam.planned_x[here], beam.planned_y[here], s=scale * beam.planned_mu[here],
        facecolors="none", edgecolors=INK, linewidths=0.7,
    )  # fmt: skip
    picture = _bubbles(axes, beam, places, here, scale, norm, limit)
    lost = here & ~beam.hit & (beam.planned_mu > 0)
    axes.scatter(beam.planned_x[lost], beam.planned_y[lost], s=40, marker="x", color=RED, linewidths=1.3)
    axes.set_title(
        _("beam {number} {name}: {energy:.1f} MeV, layer {layer} of {layers}").format(
            number=beam.number,
            name=beam.name,
            energy=beam.energies[layer],
            layer=layer + 1,
            layers=len(beam.energies),
        )
    )
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    axes.set_xlabel(_("x at isocentre (mm)"))
    axes.set_ylabel(_("y at isocentre (mm)"))
    return picture


def _bubbles(
    axes: Axes,
    beam: DeliveredBeam,
    places: BeamCentroids,
    here: NDArray[np.bool_],
    scale: float,
    norm: Normalize,
    limit: float,
) -> PathCollection:
    def scatter(wrong: bool) -> PathCollection:
        chosen = here & beam.hit & ((np.nan_to_num(places.absolute) > limit) == wrong)
        return axes.scatter(
            beam.x[chosen], beam.y[chosen], s=scale * beam.mu[chosen], c=places.absolute[chosen],
            cmap="viridis_r", norm=norm, marker="^" if wrong else "o", alpha=0.9,
            edgecolors=RED if wrong else "none", linewidths=1.2 if wrong else 0,
        )  # fmt: skip

    scatter(wrong=True)
    return scatter(wrong=False)


def _deviations(
    axes: Axes, beam: DeliveredBeam, places: BeamCentroids, norm: Normalize, limit: float
) -> None:
    for wrong, marker, size in ((False, "o", 7), (True, "^", 34)):
        chosen = beam.hit & ((np.nan_to_num(places.absolute) > limit) == wrong)
        axes.scatter(
            places.dx[chosen], places.dy[chosen], s=size, c=places.absolute[chosen], cmap="viridis_r",
            norm=norm, marker=marker, edgecolors=RED if wrong else "none", linewidths=1.0 if wrong else 0,
        )  # fmt: skip
    axes.add_patch(Circle((0, 0), limit, fill=False, edgecolor=RED, linewidth=1.3, linestyle="--"))
    axes.axhline(0, color=FAINT, linewidth=0.7)
    axes.axvline(0, color=FAINT, linewidth=0.7)
    reach = 1.15 * max(limit, places.max_mm)
    axes.update_datalim([(-reach, -reach), (reach, reach)])
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(_("deviation x (mm)"))
    axes.set_ylabel(_("deviation y (mm)"))
    axes.set_title(
        _("all {count} spots: largest {largest:.2f} mm").format(
            count=int(beam.hit.sum()), largest=places.max_mm
        ),
        fontweight="normal",
    )


def _handles() -> list[Line2D]:
    def mark(marker: str, label: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, label=label, **style)

    return [
        mark("o", _("planned (area: MU)"), markerfacecolor="none", markeredgecolor=INK, markersize=9),
        mark("o", _("delivered, within tolerance"), color=BLUE, markersize=8),
        mark("^", _("delivered, out of tolerance"), color=BLUE, markeredgecolor=RED, markersize=9),
        mark("x", _("no beam"), color=RED, markersize=8),
    ]
