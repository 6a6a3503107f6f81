"""Plans to choose from as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from common.text import _
from tps_engine.evaluate.drawing import BLUE, RED, render

_WIDTH, _HEIGHT = 4.2, 3.6


def choices_chart(
    names: Sequence[str], values: NDArray[np.float64], marked: Sequence[NDArray[np.float64]] = ()
) -> bytes:
    """PNG: the first criterion against each other one. values: (p, k) of p plans; marked: (k,) of choices."""
    count = len(names) - 1

    def draw(figure: Figure) -> None:
        panels = np.atleast_1d(figure.subplots(1, count, sharey=True))
        for number, axes in enumerate(panels, start=1):
            axes.plot(values[:, number], values[:, 0], "o", color=BLUE, label=_("plans"))
            for choice in marked:
                axes.plot(choice[number], choice[0], "*", color=RED, markersize=14, label=_("choice"))
            axes.set_xlabel(f"{names[number]} (Gy)")
            axes.set_xlim(left=0.0)
            axes.set_ylim(bottom=0.0)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel(f"{names[0]} (Gy)")
        handles, labels = panels[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        panels[0].legend(list(unique.values()), list(unique))

    return render(_WIDTH * count + 0.6, _HEIGHT, draw)
