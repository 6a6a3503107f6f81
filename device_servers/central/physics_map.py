"""The spot map that somebody asks for at a PhysicsBeam, as the beam hardware takes it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.errors import Refused
from common.text import _
from device_servers.parse import number_field
from treatment.delivery_map import DeliveryMap
from treatment.monitor import Monitor

MOST_SPOTS = 20_000
COLUMNS = 5
NUMBER = 1
"""Beam number of a map that belongs to no plan."""


def asked_map(asked: Mapping[str, Any], monitor: Monitor) -> DeliveryMap:
    """The map of {"energy": [MeV], "spots": [[layer, x mm, y mm, MU, sigma mm], ...], "k_tp"}.

    Raises Refused for what is no such map; the machine's limits are checked elsewhere.
    """
    energy, spots = _array(asked, "energy", 1), _array(asked, "spots", 2)
    k_tp = number_field(dict(asked), "k_tp")
    if not 0.8 <= k_tp <= 1.3:
        raise Refused(_("k_TP {k_tp:.3f}: allowed are 0.8..1.3").format(k_tp=k_tp))
    if not 0 < len(spots) <= MOST_SPOTS or spots.shape[1] != COLUMNS:
        text = _("'spots' must be 1 to {most} rows of layer, x, y, MU, sigma")
        raise Refused(text.format(most=MOST_SPOTS))
    layer = spots[:, 0].astype(np.int32)
    if layer.min() < 0 or layer.max() >= len(energy) or np.any(layer != spots[:, 0]):
        raise Refused(_("a spot's layer must be a number of 'energy', from 0"))
    return DeliveryMap(
        beam_number=NUMBER,
        counts_per_mu=monitor.counts_per_mu,
        k_tp=k_tp,
        energy=energy,
        layer=layer,
        x=spots[:, 1].copy(),
        y=spots[:, 2].copy(),
        size_x=spots[:, 4].copy(),
        size_y=spots[:, 4].copy(),
        preset=np.rint(spots[:, 3] * monitor.counts_per_mu / k_tp).astype(np.int64),
        done=np.zeros(len(spots), dtype=np.int64),
    )


def _array(asked: Mapping[str, Any], name: str, dimensions: int) -> Any:
    try:
        array = np.asarray(asked[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as why:
        raise Refused(_("'{name}' is missing, or no table of numbers").format(name=name)) from why
    if array.ndim != dimensions or not array.size or not np.isfinite(array).all():
        raise Refused(_("'{name}' is missing, or no table of numbers").format(name=name))
    return array
