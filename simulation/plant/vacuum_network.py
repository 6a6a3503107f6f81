"""Volumes of gas joined by conductances, pumped and leaking: one system of linear equations a step.

    V_i dp_i/dt = Q_i + L_i (p_air - p_i) - S_i p_i + sum_j C_ij (p_j - p_i)

with volume V in l, pressure p in mbar, gas load Q in mbar l/s, pumping speed S, leak L and conductance C in
l/s. A step is implicit Euler, whose matrix is an M-matrix: pressures stay positive, and steps may be as
long as one likes. Walls that have seen air give off water as 1/t, as unbaked metal does (q of about 2e-8
mbar l/s/cm2 after an hour); the exposure ends when the pressure falls below `WET_MBAR`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulation.plant.family import Floats

AIR_MBAR = 1013.0
WET_MBAR = 1.0
WALL_CM2_PER_L = 400.0
"""Wall of a beam tube of 10 cm diameter, per litre of its volume."""
HOUR_GAS = 2e-8
"""Gas load of a wall that saw air, an hour after, mbar l/s/cm2."""
FIRST_S = 30.0
"""Age below which the 1/t law of the walls is cut off."""
BAKED_S = 1e9


class VacuumNetwork:
    """Volumes by name. `base` (n,): pressure in mbar that nominal pumping holds in a volume of clean
    walls.
    """

    def __init__(self, names: Sequence[str], litres: Floats, base: Floats) -> None:
        self.index = {name: i for i, name in enumerate(names)}
        self.litres = litres
        self.base = base
        size = len(names)
        self.pressure: Floats = 3.0 * base
        self.age: Floats = np.full(size, BAKED_S)
        self.nominal: Floats = np.zeros(size)
        """Pumping speed of each volume with everything running, l/s."""
        self.speed: Floats = np.zeros(size)
        self.leak: Floats = np.zeros(size)
        self.conductance: Floats = np.zeros((size, size))

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass with the speeds, leaks and conductances as they stand."""
        wet = WALL_CM2_PER_L * self.litres * HOUR_GAS * 3600.0 / (self.age + FIRST_S)
        gas = self.base * self.nominal + np.where(self.age < BAKED_S, wet, 0.0)
        flows = self.conductance.sum(axis=1)
        matrix = -dt * self.conductance
        diagonal = self.litres + dt * (self.speed + self.leak + flows)
        matrix[np.diag_indices_from(matrix)] += diagonal
        load = self.litres * self.pressure + dt * (gas + self.leak * AIR_MBAR)
        self.pressure = np.minimum(np.linalg.solve(matrix, load), AIR_MBAR)
        self.age = np.where(self.pressure > WET_MBAR, 0.0, self.age + dt)

    def places(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Indices of volumes, (len(names),)."""
        return np.array([self.index[name] for name in names], dtype=np.intp)
