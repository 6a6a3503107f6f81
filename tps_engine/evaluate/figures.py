"""Pictures of dose: three planes over the CT, histograms, the gamma map. Each returns the bytes of a PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from common.text import _
from tps_engine.evaluate.drawing import (
    BLUE,
    CYCLE,
    FAINT,
    INK,
    PLANES,
    RED,
    Plane,
    View,
    Volume,
    frame,
    outline,
    render,
    show_ct,
)
from tps_engine.evaluate.dvh import Dvh
from tps_engine.evaluate.gamma import GammaResult

_LEVELS = ((0.2, ":"), (0.5, "-."), (0.8, "--"), (0.95, "-"))
"""Isodoses, share of the prescription, each with its own line so that colour is not the only sign."""
_LOWEST, _TOP = 0.1, 1.1
"""The colour wash begins and its scale ends here, share of the prescription."""
_COLOURS = colormaps["turbo"]


@dataclass(frozen=True)
class Backdrop:
    """What the pictures lie on. ct, target: on the CT's grid. prescription: Gy, of one fraction."""

    ct: Volume
    target: Volume
    target_name: str
    prescription: float


def _widths(view: View) -> list[float]:
    """Relative widths of the three planes when all are drawn at the same height."""
    return [width / height for width, height in (view.size(plane) for plane in PLANES)]


def _row_height(widths: Sequence[float]) -> float:
    """Height in inches of a row of planes that makes the picture neither too wide nor too high."""
    return float(np.clip(11.5 / sum(widths), 1.8, 3.6))


def dose_planes(scene: Backdrop, doses: Sequence[tuple[str, Volume]], title: str) -> bytes:
    """One row of three planes for each named dose, colour wash and isodoses over the CT."""
    view = View.around(doses[0][1], scene.target)
    norm = Normalize(0.0, _TOP * scene.prescription)
    widths = _widths(view)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
        grid = figure.subplots(len(doses), 3, squeeze=False, width_ratios=widths)
        for row, (name, dose) in zip(grid, doses, strict=True):
            for axes, plane in zip(row, PLANES, strict=True):
                show_ct(axes, plane, scene.ct, view)
                picture = _wash(axes, plane, dose, view, norm, scene.prescription)
                outline(axes, plane, scene.target, view, "white")
                frame(axes, plane, view)
            row[0].text(
                0.02, 0.97, name, transform=row[0].transAxes, color="white", fontweight="bold",
                va="top", bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 3},
            )  # fmt: skip
        bar = figure.colorbar(picture, ax=grid, shrink=0.85, aspect=28, pad=0.015)
        bar.set_label(_("dose per fraction (Gy, RBE-weighted)"))
        bar.outline.set_visible(False)
        _isodose_legend(figure, scene)

    high = _row_height(widths)
    return render(high * sum(widths) + 3.4, (high + 0.85) * len(doses) + 1.2, draw)


def _wash(
    axes: Axes, plane: Plane, dose: Volume, view: View, norm: Normalize, prescription: float
) -> AxesImage:
    cut = plane.slice(dose, view.centre[plane.normal]).astype(np.float64)
    shown = np.ma.masked_less(cut, _LOWEST * prescription)
    picture = axes.imshow(
        shown, cmap=_COLOURS, norm=norm, alpha=0.55, origin="lower",
        extent=plane.extent(dose.grid), interpolation="bilinear",
    )  # fmt: skip
    levels = [share * prescription for share, _style in _LEVELS]
    if cut.max() > levels[0]:
        across, down = dose.grid.axis(plane.across), dose.grid.axis(plane.down)
        axes.contour(
            across, down, cut, levels=levels, linestyles=[style for _share, style in _LEVELS],
            colors=[_COLOURS(norm(level)) for level in levels], linewidths=1.3,
        )  # fmt: skip
    return picture


def _isodose_legend(figure: Figure, scene: Backdrop) -> None:
    lines = [
        Line2D(
            [], [], color=_COLOURS(share / _TOP), linestyle=style, linewidth=2.2, label=f"{100 * share:.0f} %"
        )
        for share, style in _LEVELS
    ]
    target = Line2D([], [], color="white", linewidth=1.8, label=scene.target_name)
    legend = figure.legend(
        handles=[*lines, target], loc="outside lower center", ncols=len(lines) + 1,
        title=_("isodoses, share of {dose:.2f} Gy").format(dose=scene.prescription),
        facecolor="#3d4852", labelcolor="white", framealpha=1.0, frameon=True, edgecolor="none",
    )  # fmt: skip
    legend.get_title().set_fontsize(9)
    legend.get_title().set_color("white")


def dvh_chart(
    planned: Mapping[str, Dvh], delivered: Mapping[str, Dvh] | None, prescription: float, title: str
) -> bytes:
    """Cumulative histograms: full lines planned, dashed delivered; the first structure is bold."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=True)
        for index, (name, histogram) in enumerate(planned.items()):
            width = 2.4 if index == 0 else 1.5
            doses, volumes = histogram.curve(400)
            axes.plot(doses, volumes, label=name, color=CYCLE[index % len(CYCLE)], linewidth=width)
            if delivered is not None and name in delivered:
                doses, volumes = delivered[name].curve(400)
                axes.plot(doses, volumes, linestyle=(0, (4, 3)), color=INK, linewidth=0.6 * width)
        axes.axvline(prescription, color=FAINT, linewidth=1.0)
        axes.annotate(
            _("prescription {dose:.2f} Gy").format(dose=prescription), (prescription, 103), ha="center",
            fontsize=9, color=INK, annotation_clip=False,
        )  # fmt: skip
        axes.set_xlim(0, None)
        axes.set_ylim(0, 102)
        axes.set_xlabel(_("dose per fraction (Gy, RBE-weighted)"))
        axes.set_ylabel(_("volume (%)"))
        figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
        handles = axes.get_legend_handles_labels()[0]
        if delivered is not None:
            handles.append(Line2D([], [], color=FAINT, linestyle="-", label=_("full line: planned")))
            handles.append(Line2D([], [], color=INK, linestyle=(0, (4, 3)), label=_("dashed: delivered")))
        figure.legend(handles=handles, loc="outside right upper")

    return render(10.0, 5.6, draw)


def gamma_map(scene: Backdrop, dose: Volume, result: GammaResult, title: str) -> bytes:
    """Gamma in three planes and as a histogram; failing points carry a cross besides their colour."""
    view = View.around(dose, scene.target)
    values = Volume(result.values, dose.grid)
    widths = _widths(view)
    norm = Normalize(0.0, result.criteria.max_gamma)

    def draw(figure: Figure) -> None:
        figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
        row = figure.subplots(1, 4, width_ratios=[*widths, 1.2])
        for axes, plane in zip(row[:3], PLANES, strict=True):
            show_ct(axes, plane, scene.ct, view)
            cut = plane.slice(values, view.centre[plane.normal]).astype(np.float64)
            picture = axes.imshow(
                np.ma.masked_invalid(cut), cmap="RdYlBu_r", norm=norm, alpha=0.75, origin="lower",
                extent=plane.extent(dose.grid), interpolation="nearest",
            )  # fmt: skip
            _cross_failing(axes, plane, cut, values)
            outline(axes, plane, scene.target, view, "white")
            frame(axes, plane, view)
        bar = figure.colorbar(picture, ax=row[:3], orientation="horizontal", shrink=0.5, aspect=40, pad=0.03)
        bar.set_label(_("gamma (above 1 fails: red and crossed)"))
        bar.outline.set_visible(False)
        _gamma_histogram(row[3], result)

    high = _row_height([*widths, 1.2])
    return render(high * (sum(widths) + 1.2) + 3.2, high + 2.0, draw)


def _cross_failing(axes: Axes, plane: Plane, cut: NDArray[np.float64], values: Volume) -> None:
    rows, columns = np.nonzero(np.nan_to_num(cut) > 1.0)
    if len(rows):
        axes.scatter(
            values.grid.axis(plane.across)[columns], values.grid.axis(plane.down)[rows],
            marker="x", s=9, linewidths=0.7, color="black",
        )  # fmt: skip


def _gamma_histogram(axes: Axes, result: GammaResult) -> None:
    values = result.values[np.isfinite(result.values)]
    edges = np.linspace(0.0, result.criteria.max_gamma, 41)
    counts = np.histogram(values, edges)[0] / len(values) * 100.0
    good = edges[:-1] < 1.0 - 1e-9
    width = edges[1] - edges[0]
    axes.bar(edges[:-1][good], counts[good], width, align="edge", color=BLUE, label=_("passes"))
    axes.bar(edges[:-1][~good], counts[~good], width, align="edge", color=RED, hatch="///", label=_("fails"))
    axes.axvline(1.0, color=INK, linewidth=1.0)
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 150)
    axes.set_xlabel(_("gamma"))
    axes.set_ylabel(_("share of points (%)"))
    criteria = result.criteria
    axes.set_title(f"{result.pass_rate:.2f} %  ({criteria.dose_percent:g} % / {criteria.distance_mm:g} mm)")
    axes.legend(loc="upper right")
