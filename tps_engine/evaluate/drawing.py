"""What all pictures share: fonts, colours, anatomical planes, PNG output. No pyplot, no display."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from common.text import _
from tps_engine.patient.grid import Grid

INK, FAINT, PAPER = "#1b2733", "#8a97a3", "#ffffff"
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
"""Colours that people with colour vision deficiency tell apart (Okabe and Ito)."""
CYCLE = (RED, BLUE, GREEN, ORANGE, "#cc79a7", "#56b4e9", "#7f6000", "#5e3c99", "#4d4d4d")

_STYLE = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 10.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "grid.color": "#dfe5ea",
    "grid.linewidth": 0.7,
    "figure.facecolor": PAPER,
    "savefig.dpi": 130,
}


@cache
def families() -> tuple[str, ...]:
    """Font families: a Latin one, then one with Chinese where the machine has it."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    chinese = [
        name for name in ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei") if name in there
    ]
    return ("DejaVu Sans", *chinese[:1])


def render(width: float, height: float, draw: Callable[[Figure], None]) -> bytes:
    """A PNG of `width` x `height` inches that `draw` fills."""
    with mpl.rc_context({**_STYLE, "font.family": list(families())}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        out = BytesIO()
        figure.savefig(out, format="png")
        return out.getvalue()


@dataclass(frozen=True)
class Volume:
    """Values (nz, ny, nx) on a grid."""

    values: NDArray[Any]
    grid: Grid


@dataclass(frozen=True)
class Plane:
    """One of the three anatomical planes: `across` and `down` are patient axes (0 x, 1 y, 2 z)."""

    normal: int
    across: int
    down: int
    flip: bool

    @property
    def title(self) -> str:
        """Its name in the language in force."""
        return (_("sagittal"), _("coronal"), _("axial"))[self.normal]

    @property
    def labels(self) -> tuple[str, str]:
        """Axis labels: towards left, posterior, head is positive."""
        names = (_("x, left (mm)"), _("y, posterior (mm)"), _("z, head (mm)"))
        return names[self.across], names[self.down]

    def slice(self, volume: Volume, position: float) -> NDArray[Any]:
        """(down, across) values of the layer of voxels nearest to `position`, mm."""
        grid = volume.grid
        index = round((position - grid.origin[self.normal]) / grid.spacing[self.normal])
        index = min(max(index, 0), grid.shape[2 - self.normal] - 1)
        cut: NDArray[Any] = np.take(volume.values, index, axis=2 - self.normal)
        return cut

    def extent(self, grid: Grid) -> tuple[float, float, float, float]:
        """Edges of the image, mm, as imshow takes them with origin "lower"."""
        edges: list[float] = []
        for axis in (self.across, self.down):
            line = grid.axis(axis)
            half = 0.5 * grid.spacing[axis]
            edges += [float(line[0] - half), float(line[-1] + half)]
        return edges[0], edges[1], edges[2], edges[3]


AXIAL, CORONAL, SAGITTAL = Plane(2, 0, 1, True), Plane(1, 0, 2, False), Plane(0, 1, 2, False)
PLANES = (AXIAL, CORONAL, SAGITTAL)


@dataclass(frozen=True)
class View:
    """Where the planes cut and what they show, mm in patient coordinates: centre and low and high corner."""

    centre: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def around(cls, dose: Volume, target: Volume, share: float = 0.08, margin: float = 25.0) -> "View":
        """Planes through the middle of the target, wide enough for all dose above a share of its maximum."""
        middle = _extent(target.values.astype(bool), target.grid)
        wide = _extent(dose.values >= share * float(dose.values.max()), dose.grid)
        centre = 0.5 * (middle[0] + middle[1])
        low, high = np.minimum(wide[0], middle[0]) - margin, np.maximum(wide[1], middle[1]) + margin
        first = np.array([target.grid.axis(axis)[0] for axis in range(3)])
        last = np.array([target.grid.axis(axis)[-1] for axis in range(3)])
        low, high = np.maximum(low, first), np.minimum(high, last)
        return cls(_triple(centre), _triple(low), _triple(high))

    def size(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a plane's picture, mm."""
        a, d = plane.across, plane.down
        return self.high[a] - self.low[a], self.high[d] - self.low[d]


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _extent(mask: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places = np.argwhere(mask)[:, ::-1]  # x, y, z
    origin, spacing = np.asarray(grid.origin), np.asarray(grid.spacing)
    return origin + places.min(axis=0) * spacing, origin + places.max(axis=0) * spacing


def frame(axes: Axes, plane: Plane, view: View) -> None:
    """Limits, labels and direction of a plane's axes."""
    a, d = plane.across, plane.down
    axes.set_xlim(view.low[a], view.high[a])
    vertical = (view.high[d], view.low[d]) if plane.flip else (view.low[d], view.high[d])
    axes.set_ylim(*vertical)
    axes.set_aspect("equal")
    across, down = plane.labels
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    axes.set_title(f"{plane.title}  {'xyz'[plane.normal]} = {view.centre[plane.normal]:.0f} mm")


def show_ct(axes: Axes, plane: Plane, ct: Volume, view: View) -> None:
    """The CT in grey, soft-tissue window (level 40, width 500 HU)."""
    axes.imshow(
        plane.slice(ct, view.centre[plane.normal]),
        cmap="gray", vmin=-210, vmax=290, origin="lower", extent=plane.extent(ct.grid),
        interpolation="bilinear",
    )  # fmt: skip


def outline(axes: Axes, plane: Plane, mask: Volume, view: View, colour: str, width: float = 1.8) -> None:
    """The edge of a mask, dark underneath so that it stands out on any colour."""
    cut = plane.slice(mask, view.centre[plane.normal]).astype(np.float64)
    if cut.max() <= 0.0:
        return
    across, down = mask.grid.axis(plane.across), mask.grid.axis(plane.down)
    axes.contour(across, down, cut, levels=[0.5], colors="black", linewidths=width + 1.4)
    axes.contour(across, down, cut, levels=[0.5], colors=colour, linewidths=width)
