"""Pictures of a report: curves with what they are compared with, and planes of dose differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from common.text import _
from tps_engine.evaluate.drawing import CYCLE, INK, render
from tps_engine.patient.grid import Floats, Grid
from tps_engine.validate.case import Picture


@dataclass(frozen=True)
class Curve:
    """A line (marks: single points) of a diagram."""

    name: str
    x: Floats
    y: Floats
    marks: bool = False


def curves(caption: str, axes: tuple[str, str], lines: Sequence[Curve]) -> Picture:
    """A diagram of curves; axes: the labels of x and y."""

    def draw(figure: Figure) -> None:
        plot = figure.subplots()
        for number, line in enumerate(lines):
            style = "-" if number % 2 == 0 else "--"
            plot.plot(
                line.x, line.y, color=CYCLE[number % len(CYCLE)], label=line.name, markersize=3.5,
                linestyle="none" if line.marks else style, marker="o" if line.marks else "none",
            )  # fmt: skip
        plot.set_xlabel(axes[0])
        plot.set_ylabel(axes[1])
        plot.grid(visible=True)
        plot.legend()

    return Picture(caption, render(7.0, 3.0, draw))


def differences(
    caption: str,
    grid: Grid,
    doses: tuple[NDArray[np.floating], NDArray[np.floating]],
    names: tuple[str, str],
    normal: int = 2,
) -> Picture:
    """Two doses and their difference in the plane of one patient axis where the first is greatest."""
    first, second = (np.asarray(dose, dtype=np.float64) for dose in doses)
    at = int(np.unravel_index(int(np.argmax(first)), first.shape)[2 - normal])
    planes = [np.take(dose, at, axis=2 - normal) for dose in (first, second)]
    top = float(first.max())
    across, down = [(1, 2), (0, 2), (0, 1)][normal]
    edges = [
        float(grid.axis(axis)[end] + (0.5 if end else -0.5) * grid.spacing[axis])
        for axis in (across, down)
        for end in (0, -1)
    ]

    def draw(figure: Figure) -> None:
        row = figure.subplots(1, 3)
        shown = [*((plane / top * 100.0, "viridis", 0.0, 105.0) for plane in planes)]
        shown.append(((planes[1] - planes[0]) / top * 100.0, "RdBu_r", -5.0, 5.0))
        titles = (*names, _("difference, % of maximum"))
        for axes, (values, colours, low, high), title in zip(row, shown, titles, strict=True):
            image = axes.imshow(
                values, cmap=colours, vmin=low, vmax=high, origin="lower",
                extent=(edges[0], edges[1], edges[2], edges[3]), aspect="equal",
            )  # fmt: skip
            axes.set_title(title, color=INK)
            axes.set_xlabel(f"{'xyz'[across]} (mm)")
            axes.set_ylabel(f"{'xyz'[down]} (mm)")
            figure.colorbar(image, ax=axes, shrink=0.8)

    return Picture(caption, render(9.5, 3.2, draw))
