"""Random numbers of the Monte Carlo engine: one stream a history, so that a seed gives the same result on any
number of threads.

Generator: xoroshiro128+ (Blackman and Vigna, 2018), its 128-bit state made by splitmix64 from (seed,
history). Normal deviates: the ziggurat of Marsaglia and Tsang (J Stat Softw 5 (2000) 8) in Doornik's form,
256 layers.
"""

import numpy as np
from numba import njit

_LAYERS = 256
_TAIL = 3.6541528853610088
_AREA = 0.00492867323399

_U = np.uint64
_GOLDEN, _MIX1, _MIX2 = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_S27, _S30, _S31, _S24, _S40 = _U(27), _U(30), _U(31), _U(24), _U(40)
_S16, _S37, _S27R, _S11, _MASK = _U(16), _U(37), _U(27), _U(11), _U(255)
_UNIT = 2.0**-53


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    """Right edges of the layers and the ratios of neighbouring edges."""
    edge = np.zeros(_LAYERS + 1)
    density = np.exp(-0.5 * _TAIL * _TAIL)
    edge[0], edge[1] = _AREA / density, _TAIL
    for k in range(2, _LAYERS):
        edge[k] = np.sqrt(-2.0 * np.log(_AREA / edge[k - 1] + density))
        density = np.exp(-0.5 * edge[k] * edge[k])
    return edge, edge[1:] / edge[:-1]


_EDGE, _RATIO = _ziggurat()


@njit(nogil=True, cache=True)
def _splitmix(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> _S30)) * _MIX1
    value = (value ^ (value >> _S27)) * _MIX2
    return value ^ (value >> _S31)


@njit(nogil=True, cache=True)
def start(state, seed, history):  # type: ignore[no-untyped-def]
    """Set state (2,) u8 to the beginning of a history's stream. seed, history: u8."""
    key = _splitmix(seed * _GOLDEN + _GOLDEN) ^ _splitmix(history + _GOLDEN)
    state[0] = _splitmix(key + _GOLDEN)
    state[1] = _splitmix(state[0] + history * _MIX1 + _GOLDEN)


@njit(nogil=True, cache=True)
def _next(state):  # type: ignore[no-untyped-def]
    first, second = state[0], state[1]
    result = first + second
    second ^= first
    state[0] = ((first << _S24) | (first >> _S40)) ^ second ^ (second << _S16)
    state[1] = (second << _S37) | (second >> _S27R)
    return result


@njit(nogil=True, cache=True)
def uniform(state):  # type: ignore[no-untyped-def]
    """A number in (0, 1)."""
    return (np.float64(_next(state) >> _S11) + 0.5) * _UNIT


@njit(nogil=True, cache=True)
def normal(state):  # type: ignore[no-untyped-def]
    """A standard normal deviate."""
    while True:
        bits = _next(state)
        layer = np.int64(bits & _MASK)
        flat = (np.float64(bits >> _S11) + 0.5) * (2.0 * _UNIT) - 1.0
        if abs(flat) < _RATIO[layer]:
            return flat * _EDGE[layer]
        if layer == 0:
            while True:
                x = -np.log(uniform(state)) / _TAIL
                y = -np.log(uniform(state))
                if y + y > x * x:
                    return _TAIL + x if flat > 0.0 else -_TAIL - x
        value = flat * _EDGE[layer]
        low = np.exp(-0.5 * (_EDGE[layer] ** 2 - value * value))
        high = np.exp(-0.5 * (_EDGE[layer + 1] ** 2 - value * value))
        if high + uniform(state) * (low - high) < 1.0:
            return value
