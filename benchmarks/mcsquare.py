"""MCsquare run live on a phantom of slabs, and the same beam with our Monte Carlo.

MCsquare is the binary in the opentps-core wheel (benchmarks/peers/setup.sh puts it into .venv-peers/MCsquare).
Its beam, phantom and calibration are written for the run: one spot of a parallel Gaussian beam without energy
spread, on slabs of its own materials. It reads images with x and y reversed and gives eV/g per proton.
"""

import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from common.errors import BadInput
from tps_engine.beamdata import model
from tps_engine.beamdata.water import WaterTable
from tps_engine.dose.montecarlo import engine, materials, media
from tps_engine.dose.spots import Spots
from tps_engine.patient.grid import Grid
from tps_engine.plan.geometry import beam_frame

PLACE = Path(__file__).parents[1] / ".venv-peers" / "MCsquare"
BINARIES = ("MCsquare_linux_avx512", "MCsquare_linux_avx2", "MCsquare_linux")
MATERIALS = {"water": ("Water", 1.0), "lung": ("Lung", 0.26), "cortical-bone": ("Bone_Cortical", 1.92)}
"""Our name of a material: MCsquare's and its density, g/cm3."""

_GRAY = 1.602176634e-16  # eV/g


@dataclass(frozen=True)
class Scene:
    """A parallel beam along +y on slabs across it: (material, mm) in the order of the beam, the last fills.

    energy: MeV. sigma: mm. grid: its face at y = 0, centred in x and z.
    """

    energy: float
    sigma: float
    grid: Grid
    slabs: tuple[tuple[str, float], ...]

    def names(self) -> list[str]:
        """The material of each voxel along y."""
        depth = self.grid.axis(1)
        found = [self.slabs[-1][0]] * len(depth)
        low = 0.0
        for name, thick in self.slabs[:-1]:
            for row in np.flatnonzero((depth > low) & (depth < low + thick)):
                found[row] = name
            low += thick
        return found


@dataclass(frozen=True)
class Run:
    """dose: (nz, ny, nx) Gy per proton. sigma: mean over dose above half of the maximum. cpu: seconds."""

    dose: NDArray[np.float64]
    sigma: float
    cpu: float
    count: int


def column(energy: float, depth: float, slabs: Sequence[tuple[str, float]] = (("water", 1e9),)) -> Scene:
    """A scene of voxels of 2 mm on a grid 102 mm wide."""
    grid = Grid((-50.0, 1.0, -50.0), (2.0, 2.0, 2.0), (51, round(depth / 2.0), 51))
    return Scene(energy, 5.0, grid, tuple(slabs))


def find(place: Path = PLACE) -> Path:
    """The fastest of MCsquare's binaries that this processor runs. Raises BadInput when none is there.

    Its compiler refuses vector instructions on processors of other makers, as its own start script knows.
    """
    processor = Path("/proc/cpuinfo").read_text()
    for name in BINARIES:
        feature = name.rpartition("_")[2]
        runs = feature == "linux" or (feature in processor and "GenuineIntel" in processor)
        if (place / name).exists() and runs:
            return place / name
    raise BadInput(f"no MCsquare in {place}: run benchmarks/peers/setup.sh first")


def stopping_table(place: Path = PLACE) -> WaterTable:
    """The range table of MCsquare's own stopping power of water (Geant4's), from 0.5 MeV on."""
    rows = np.loadtxt(place / "Materials" / "Water" / "G4_Stop_Pow.dat")
    some = rows[(rows[:, 0] >= 0.5) & (rows[:, 0] <= 300.0)]
    energy = np.geomspace(0.5, 300.0, 4001)
    stopping = np.exp(CubicSpline(np.log(some[:, 0]), np.log(some[:, 1]))(np.log(energy)))
    csda = 8.869e-4 + cumulative_simpson(energy / stopping, x=np.log(energy), initial=0.0)
    return WaterTable(energy, stopping, 10.0 * csda)


def theirs(scene: Scene, count: int, threads: int = 1, place: Path = PLACE) -> Run:
    """Run MCsquare. Raises BadInput when it fails or gives no dose."""
    binary = find(place)
    with tempfile.TemporaryDirectory() as folder:
        _write_inputs(Path(folder), scene, count, threads, place)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [str(binary), "config.txt"], cwd=folder, check=False, capture_output=True, text=True,
            env={**os.environ, "MCsquare_Materials_Dir": str(place / "Materials")},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = Path(folder) / "Outputs" / "Dose.raw"
        if done.returncode or not output.exists():
            raise BadInput(f"MCsquare ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]}")
        raw = np.fromfile(output, dtype="<f4").reshape(scene.grid.shape).astype(float)
    dose = raw[:, ::-1, ::-1] * _GRAY
    if not dose.max() > 0.0:
        raise BadInput("MCsquare gave no dose: check isocentre and image")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(dose, np.nan, cpu, count)


def noise(scene: Scene, runs: Sequence[Run]) -> float:
    """Mean sigma over dose above half of the maximum of one run, from the scatter of several alike."""
    doses = np.stack([run.dose for run in runs])
    mean = doses.mean(axis=0)
    high = mean > 0.5 * mean.max()
    return float(np.mean(doses.std(axis=0, ddof=1)[high] / mean[high]))


def ours(scene: Scene, count: int, seed: int = 1, table: WaterTable | None = None) -> Run:
    """The same with our engine on one thread; table: its stopping power of water, None: MCsquare's."""
    import time  # noqa: PLC0415

    generic = model.load("proton-generic")
    beam = replace(
        generic, spread=0.0 * generic.spread, divergence=0.0 * generic.divergence,
        water=stopping_table() if table is None else table,
    )  # fmt: skip
    names = scene.names()
    known = materials.load()
    numbers = np.array([known.index_of(name) for name in names], dtype=np.uint8)
    density = np.array([MATERIALS[name][1] for name in names], dtype=np.float32)
    shape = scene.grid.shape
    medium = media.Medium(
        scene.grid,
        np.ascontiguousarray(np.broadcast_to(numbers[None, :, None], shape)),
        np.ascontiguousarray(np.broadcast_to(density[None, :, None], shape)),
        known,
    )
    frame = beam_frame(0.0, 0.0, (0.0, 0.0, 0.0), (1e9, 1e9))
    spot = Spots(*(np.array([v]) for v in (scene.energy, 0.0, 0.0, scene.sigma, scene.sigma)))
    started = time.process_time()
    found = engine.spot_dose(medium, frame, beam, spot, np.ones(1), engine.Histories(count, seed, threads=1))
    cpu = time.process_time() - started
    protons = float(generic.at(np.array([scene.energy]), generic.protons_per_mu)[0])
    return Run(found.dose_to_medium.astype(float) / protons, found.mean_uncertainty(), cpu, count)


def _write_inputs(folder: Path, scene: Scene, count: int, threads: int, place: Path) -> None:
    names = scene.names()
    used = list(dict.fromkeys(names))
    labels = _labels(place)
    numbers = np.array([used.index(name) for name in names], dtype="<i2") * 100
    image = np.broadcast_to(numbers[None, :, None], scene.grid.shape)[:, ::-1, ::-1]
    image.astype("<f4").tofile(folder / "CT.raw")
    (folder / "CT.mhd").write_text(_header(scene.grid))
    rows = [(100 * k, name) for k, name in enumerate(used)]
    rows = [(-1000, used[0]), *[(hu - 50, name) for hu, name in rows], (3000, used[-1])]
    density = "".join(
        f"{edge}\t{MATERIALS[name][1]}\n" for hu, name in rows[1:-1] for edge in (hu + 1, hu + 99)
    )
    first, last = MATERIALS[used[0]][1], MATERIALS[used[-1]][1]
    (folder / "density.txt").write_text(f"-2000\t{first}\n{density}3000\t{last}\n")
    (folder / "material.txt").write_text(
        "".join(f"{hu}\t{labels[MATERIALS[name][0]]}\n" for hu, name in rows[:-1])
    )
    (folder / "bdl.txt").write_text(_beam_data(scene))
    (folder / "plan.txt").write_text(_plan(scene))
    (folder / "config.txt").write_text(_settings(count, threads))


def _labels(place: Path) -> dict[str, int]:
    found = {}
    for line in (place / "Materials" / "list.dat").read_text().splitlines():
        parts = line.split("#")[0].split()
        if len(parts) == 2 and parts[0].isdigit():
            found[parts[1]] = int(parts[0])
    return found


def _header(grid: Grid) -> str:
    size = grid.shape[::-1]
    low = [grid.origin[axis] - 0.5 * grid.spacing[axis] for axis in range(3)]
    low[1] = -grid.origin[1] - grid.spacing[1] * (size[1] - 0.5)
    text = {
        "ObjectType": "Image",
        "NDims": "3",
        "DimSize": "{} {} {}".format(*size),
        "ElementSpacing": "{} {} {}".format(*grid.spacing),
        "Offset": "{} {} {}".format(*low),
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "CenterOfRotation": "0 0 0",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "ElementType": "MET_FLOAT",
        "ElementNumberOfChannels": "1",
        "ElementDataFile": "CT.raw",
    }
    return "".join(f"{key} = {value}\n" for key, value in text.items())


def _beam_data(scene: Scene) -> str:
    optics = f"{scene.sigma} 1e-7 0 {scene.sigma} 1e-7 0"
    rows = "".join(f"{e} {e} 0 1e8 1 {optics} 0 {optics}\n" for e in (scene.energy, scene.energy + 1.0))
    title = (
        "NominalEnergy MeanEnergy EnergySpread ProtonsMU Weight1 SpotSize1x Divergence1x Correlation1x "
        "SpotSize1y Divergence1y Correlation1y Weight2 SpotSize2x Divergence2x Correlation2x SpotSize2y "
        "Divergence2y Correlation2y"
    )
    return (
        "--parallel beam--\n# Beam data library\n\nNozzle exit to Isocenter distance\n500.0\n\n"
        "SMX to Isocenter distance\n1000000.0\n\nSMY to Isocenter distance\n1000000.0\n\n"
        f"Beam parameters\n2 energies\n\n{title}\n{rows}"
    )


def _plan(scene: Scene) -> str:
    grid = scene.grid
    size = [grid.spacing[axis] * grid.shape[2 - axis] for axis in range(3)]
    place = " ".join(str(0.5 * length) for length in size)  # any place does: the beam is parallel
    return (
        "#TREATMENT-PLAN-DESCRIPTION\n#PlanName\nplan\n#NumberOfFractions\n1\n##FractionID\n1\n"
        "##NumberOfFields\n1\n###FieldsID\n1\n#TotalMetersetWeightOfAllFields\n1.0\n\n#FIELD-DESCRIPTION\n"
        "###FieldID\n1\n###FinalCumulativeMeterSetWeight\n1.0\n###GantryAngle\n0.0\n###PatientSupportAngle\n0.0\n"
        f"###IsocenterPosition\n{place}\n###NumberOfControlPoints\n1\n\n#SPOTS-DESCRIPTION\n"
        "####ControlPointIndex\n1\n####SpotTunnedID\n1\n####CumulativeMetersetWeight\n1.0\n"
        f"####Energy (MeV)\n{scene.energy}\n####NbOfScannedSpots\n1\n####X Y Weight\n0.0 0.0 1.0\n"
    )


def _settings(count: int, threads: int) -> str:
    values = {
        "Num_Threads": threads,
        "RNG_Seed": 0,
        "Num_Primaries": count,
        "CT_File": "CT.mhd",
        "HU_Density_Conversion_File": "density.txt",
        "HU_Material_Conversion_File": "material.txt",
        "BDL_Machine_Parameter_File": "bdl.txt",
        "BDL_Plan_File": "plan.txt",
        "Compute_stat_uncertainty": "False",
        "Output_Directory": "Outputs",
        "Dose_MHD_Output": "True",
    }
    return "".join(f"{key} {value}\n" for key, value in values.items())
