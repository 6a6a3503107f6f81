"""Seeded randomness of each spot, a function of (seed, plan, beam, spot) and of nothing else.

Counter-based (Philox 4x64, Salmon et al., SC 2011): spot i has its own two blocks of the counter,
so neither time nor the way a delivery is divided into parts changes what a spot gets.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.fpga.model import Model

_WORDS = 8
"""64-bit words of one spot: two Philox blocks, four normal pairs."""


@dataclass(frozen=True)
class SpotNoise:
    """One value a spot, all (n,).

    overshoot: counts beyond the preset after the compensation of the expected latency, i8.
    ripple: relative spill intensity, > 0. secondary: gain of the secondary monitor.
    x, y: position error mm. size_x, size_y: factors on the spot size.
    """

    overshoot: NDArray[np.int64]
    ripple: NDArray[np.float64]
    secondary: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    size_x: NDArray[np.float64]
    size_y: NDArray[np.float64]


def normals(seed: int, plan_hash: str, beam_number: int, count: int) -> NDArray[np.float64]:
    """(count, 8) standard normal numbers (Box and Muller 1958), row i belonging to spot i."""
    label = hashlib.sha256(f"{seed}/{plan_hash}/{beam_number}".encode()).digest()
    key = np.frombuffer(label[:16], dtype="<u8").astype(np.uint64)
    words = np.asarray(np.random.Philox(key=key).random_raw(count * _WORDS), dtype=np.uint64)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    uniform = uniform.reshape(count, _WORDS)
    radius = np.sqrt(-2.0 * np.log(uniform[:, :4]))
    angle = 2.0 * np.pi * uniform[:, 4:]
    return np.hstack([radius * np.cos(angle), radius * np.sin(angle)])


def spot_noise(model: Model, seed: int, plan_hash: str, beam_number: int, count: int) -> SpotNoise:
    """The noise of each spot of a map.

    The counts between the stop signal and no beam are rate x (latency + jitter). The nominal
    rate x latency is compensated; what is left over is the overshoot. The rate is the one in reference
    air: the true air changes the overshoot by less than a tenth of a count, but would make it depend on
    the hour.
    """
    z = normals(seed, plan_hash, beam_number, count)
    ripple = np.clip(1.0 + model.ripple * z[:, 0], 0.3, 1.7)
    extra = model.rate * (ripple * (model.latency + model.jitter * z[:, 1]) - model.latency)
    return SpotNoise(
        overshoot=np.rint(extra).astype(np.int64),
        ripple=ripple,
        secondary=1.0 + model.secondary_noise * z[:, 2],
        x=model.position_noise * z[:, 3],
        y=model.position_noise * z[:, 4],
        size_x=1.0 + model.size_noise * z[:, 5],
        size_y=1.0 + model.size_noise * z[:, 6],
    )
