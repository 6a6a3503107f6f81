"""Measurements as pictures: live in a notebook, point by point, and whole in a report."""

import io
import sys
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from common.text import _
from ptcs.commissioning.fits.response import Response
from ptcs.commissioning.plan import Measured
from ptcs.commissioning.results import Trend
from tps_engine.evaluate.drawing import families

MOST = 8
"""Measurements drawn in one picture; more are told, not drawn."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
MARKS = "osD^vP*X"


def draw(axes: Any, measured: Measured) -> None:
    """Points with one sigma against the setting; against the step where several settings move."""
    axes.clear()
    plan, values = measured.plan, measured.settings()
    one = len(plan.settings) == 1
    x = values[:, 0] if one and len(values) else np.arange(len(values))
    means, errors = measured.mean(), np.nan_to_num(measured.error())
    for column, name in enumerate(plan.measure[:MOST]):
        if len(means):
            axes.errorbar(x, means[:, column], errors[:, column], capsize=2, lw=1, ms=4,
                          color=COLOURS[column], marker=MARKS[column], label=name)  # fmt: skip
    axes.set_xlabel(_(plan.settings[0]) if one else _("step"))
    axes.set_title(_("{title}: {done} of {steps}").format(
        title=plan.title, done=len(measured.points), steps=len(plan.steps)), fontsize=10)  # fmt: skip
    more = len(plan.measure) - MOST
    if len(means):
        axes.legend(
            fontsize=7, loc="best", title=_("and {count} more").format(count=more) if more > 0 else None
        )
    axes.grid(alpha=0.3)


class Live:
    """A watch of a Session that draws every point into one picture of a notebook, and counts elsewhere."""

    def __init__(self) -> None:
        self._figure: Any = None
        self._handle: Any = None

    def __call__(self, measured: Measured) -> None:
        """Draw the measurement as it stands."""
        if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
            print(f"\r{len(measured.points)}/{len(measured.plan.steps)}", end="", file=sys.stderr)
            return
        from IPython.display import Image, display  # noqa: PLC0415 - there only in a notebook

        if self._figure is None or len(measured.points) == 1:
            self._figure, self._handle = Figure(figsize=(8, 3.6), layout="constrained"), None
            self._figure.subplots()
        held = io.BytesIO()
        with rc_context({"font.family": list(families())}):  # letters of both languages
            draw(self._figure.axes[0], measured)
            self._figure.savefig(held, format="png", dpi=100)
        shown = Image(data=held.getvalue(), format="png")  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)


def draw_response(axes: Any, response: Response) -> None:
    """A response matrix as colours, with its singular values' scale in the title."""
    most = float(np.nanmax(np.abs(response.matrix)))
    shown = axes.imshow(response.matrix, aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most)
    axes.figure.colorbar(shown, ax=axes, label="mm/A")
    axes.set_xlabel(_("knob"))
    axes.set_ylabel(_("reading"))


def draw_trend(axes: Any, trend: Trend) -> None:
    """A quantity over its results."""
    axes.errorbar(
        range(len(trend.value)), trend.value, np.nan_to_num(np.array(trend.error)), marker="o", capsize=3
    )
    axes.set_title(f"{trend.name} ({trend.unit})")
    axes.set_xlabel(_("result"))
    axes.grid(alpha=0.3)
