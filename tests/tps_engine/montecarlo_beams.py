"""Beams and tallies for the tests of the Monte Carlo engine."""

from dataclasses import replace

import numpy as np
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from tps_engine.beamdata import model
from tps_engine.beamdata.water import WaterTable
from tps_engine.dose import spots
from tps_engine.dose.montecarlo import engine, media
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

GENERIC = model.load("proton-generic")
NARROW = replace(GENERIC, spread=0.0 * GENERIC.spread, divergence=0.0 * GENERIC.divergence)
"""The generic machine without energy spread and divergence."""


def pencil(energy, sigma=0.01):
    """One spot on the axis."""
    return spots.Spots(*(np.array([float(value)]) for value in (energy, 0.0, 0.0, sigma, sigma)))


def slabs(step=1.0, width=102.0, depth=400.0):
    """A column of voxels, one across, that the beam enters at y = 0."""
    return Grid((0.0, 0.5 * step, 0.0), (width, step, width), (1, round(depth / step), 1))


def run(grid, energy, count, beam=NARROW, medium=None, **options):
    """One spot of 1 MU from the front, one thread unless told."""
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), beam.virtual_sad)
    histories = engine.Histories(count, **{"threads": 1, **options})
    return engine.spot_dose(medium or media.uniform(grid), frame, beam, pencil(energy), np.ones(1), histories)


def water_from(table):
    """A range table from stopping powers (n, 2) in MeV and MeV cm2/g, from 0.5 MeV on."""
    some = table[(table[:, 0] >= 0.5) & (table[:, 0] <= 300.0)]
    spline = CubicSpline(np.log(some[:, 0]), np.log(some[:, 1]))
    energy = np.geomspace(0.5, 300.0, 4001)
    stopping = np.exp(spline(np.log(energy)))
    csda = 8.869e-4 + cumulative_simpson(energy / stopping, x=np.log(energy), initial=0.0)
    return WaterTable(energy, stopping, 10.0 * csda)
