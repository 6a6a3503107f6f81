"""RBE models against published coefficients, solved a second way: the photon dose of equal survival."""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import brentq

from common.text import _
from tps_engine.biology import parameters
from tps_engine.biology.rbe import rbe
from tps_engine.validate.case import Case, Outcome, Setup, within
from tps_engine.validate.pictures import Curve, curves

Limit = Callable[[float, float], float]

PUBLISHED: dict[str, tuple[str, Limit, Limit]] = {
    "McNamara": (
        "Phys Med Biol 60 (2015) 8399",
        lambda let, ab: 0.99064 + 0.35605 * let / ab,
        lambda let, ab: 1.1012 - 0.0038703 * float(np.sqrt(ab)) * let,
    ),
    "Wedenberg": (
        "Acta Oncol 52 (2013) 580",
        lambda let, ab: 1.0 + 0.434 * let / ab,
        lambda let, ab: 1.0 + 0.0 * let / ab,
    ),
    "Carabe": (
        "Phys Med Biol 57 (2012) 1159",
        lambda let, ab: 0.843 + 0.154 * 2.686 * let / ab,
        lambda let, ab: 1.09 + 0.006 * 2.686 * let / ab,
    ),
}
"""Model -> source, RBE at dose 0 and RBE at high dose of (LETd in keV/um, alpha/beta in Gy), as published."""

_ALPHA = 0.1


def cases() -> list[Case]:
    """One case a model."""
    return [
        Case(
            f"rbe-{name.lower()}", _("biology"), _("RBE of protons, model of {name}").format(name=name),
            "pb, mc", source, partial(solved, name),
        )
        for name, (source, _most, _least) in PUBLISHED.items()
    ]  # fmt: skip


def photon_dose(alpha: float, beta: float, of_protons: tuple[float, float], dose: float) -> float:
    """Photon dose in Gy of the survival after `dose` Gy of protons; of_protons: their alpha, beta."""
    effect = of_protons[0] * dose + of_protons[1] * dose**2
    return float(brentq(lambda d: alpha * d + beta * d * d - effect, 0.0, 100.0 * dose))


def solved(name: str, _setup: Setup) -> Outcome:
    """RBE over dose, LETd and alpha/beta against a root of the linear-quadratic equation."""
    loaded = parameters.load()
    model = loaded.model(name)
    source, most, least = PUBLISHED[name]
    checks, lines = [], []
    for ratio in (2.0, 10.0):
        beta = _ALPHA / ratio
        doses, lets = np.array([0.5, 1.0, 2.0, 5.0, 10.0]), np.linspace(1.0, 12.0, 12)
        worst, at_two = 0.0, []
        for dose in doses:
            for let in lets:
                protons = (_ALPHA * float(most(let, ratio)), beta * float(least(let, ratio)) ** 2)
                expected = photon_dose(_ALPHA, beta, protons, float(dose)) / dose
                ours = float(rbe(model, np.array([dose]), np.array([let]), ratio)[0])
                worst = max(worst, abs(ours / expected - 1.0))
                if dose == 2.0:
                    at_two.append(ours)
        what = _("alpha/beta {ratio} Gy: largest deviation of 60 values").format(ratio=f"{ratio:g}")
        checks.append(within(what, 100.0 * worst, 0.1, "%", source))
        lines.append(Curve(f"alpha/beta {ratio:g} Gy, 2 Gy", lets, np.asarray(at_two)))
    picture = curves(_("RBE of 2 Gy"), ("LETd (keV/um)", "RBE"), lines)
    return Outcome(tuple(checks), (picture,), (f"{loaded.name} {loaded.version}: {model.source}",))
