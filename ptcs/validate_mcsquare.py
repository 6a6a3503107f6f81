"""MCsquare (Souris et al., Med Phys 43 (2016) 1700) run live as the other Monte Carlo of the validation.

Its program is no part of PTCS; `benchmarks/peers/setup.sh` fetches it into .venv-peers.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, PtcsError
from common.text import _
from tps_engine.dose.montecarlo.materials import REFERENCE_MEV
from tps_engine.dose.montecarlo.media import Medium

PROGRAMS = ("MCsquare_linux_avx512", "MCsquare_linux_avx2", "MCsquare_linux")
"""Fastest first; all but the last refuse processors that are not Intel's."""
LABELS: Mapping[str, tuple[int, str]] = {
    "water": (17, "Water"), "air": (13, "Air"), "lung": (14, "Lung"), "adipose": (15, "Adipose_Tissue"),
    "muscle": (27, "Muscle_Skeletal"), "spongiosa": (37, "Bone_Spongiosa"),
    "cortical-bone": (38, "Bone_Cortical"), "pmma": (64, "PMMA"), "polycarbonate": (66, "Lexan"),
}  # fmt: skip
"""Our material -> its number and folder in MCsquare's list."""

_GRAY_PER_EV_G = 1.602176634e-16
_NOZZLE_MM = 0.01
"""From the nozzle to the surface: MCsquare slows protons in the air between, and the cases have none."""
_LIMIT_S = 1800
_REPOSITORY = Path(__file__).resolve().parent.parent


def find(given: Path | None) -> "MCsquare | None":
    """MCsquare at a path, or in .venv-peers; None where there is none. Raises BadInput for a wrong path."""
    if given is not None:
        program = _program(given) if given.is_dir() else given
        if program is None or not os.access(program, os.X_OK):
            raise BadInput(_("{path} is no MCsquare program that can be run").format(path=given))
        return MCsquare(program)
    program = _program(_REPOSITORY / ".venv-peers" / "MCsquare")
    return None if program is None else MCsquare(program)


def _program(folder: Path) -> Path | None:
    """The first program in a folder that this processor can run, or the plain one."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    for name in PROGRAMS:
        needed = name.rpartition("_")[2]
        fits = "GenuineIntel" in flags and needed in flags
        if (needed == "linux" or fits) and os.access(folder / name, os.X_OK):
            return folder / name
    return None


class MCsquare:
    """One program with the materials that lie beside it."""

    def __init__(self, program: Path) -> None:
        self._program = program.resolve()
        self._materials = self._program.parent / "Materials"
        if not (self._materials / "list.dat").is_file():
            raise BadInput(_("{path}: MCsquare's Materials folder is missing beside it").format(path=program))

    @property
    def name(self) -> str:
        """Which program."""
        return f"MCsquare ({self._program.name}, opentps-core)"

    def dose(
        self, medium: Medium, energy: float, sigma: float, protons: int, seed: int
    ) -> NDArray[np.float32]:
        """Dose to water in Gy per proton of one spot along +y, as `OtherMonteCarlo.dose` says.

        Densities are such that stopping powers relative to water are the medium's at the reference energy.
        Raises PtcsError when the program fails or gives no dose.
        """
        with tempfile.TemporaryDirectory(prefix="mcsquare-") as name:
            place = Path(name)
            self._write(place, medium, energy, sigma, protons, seed)
            self._call(place)
            raw = place / "Outputs" / "Dose.raw"
            if not raw.is_file():
                raise PtcsError(_("MCsquare wrote no dose"))
            values = np.fromfile(raw, dtype="<f4").reshape(medium.grid.shape)[:, ::-1, ::-1]
        if not np.isfinite(values).all() or float(values.max()) <= 0.0:
            raise PtcsError(_("MCsquare's dose is zero or no number"))
        return np.ascontiguousarray(values * np.float32(_GRAY_PER_EV_G))

    def _call(self, place: Path) -> None:
        environment = {**os.environ, "MCsquare_Materials_Dir": str(self._materials)}
        try:
            done = subprocess.run(
                [self._program, "config.txt"], cwd=place, env=environment, capture_output=True, text=True,
                timeout=_LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as why:
            raise PtcsError(_("MCsquare could not be run: {why}").format(why=why)) from why
        if done.returncode != 0:
            told = (done.stderr or done.stdout).strip()[-300:]
            raise PtcsError(_("MCsquare could not be run: {why}").format(why=told))

    def _write(
        self, place: Path, medium: Medium, energy: float, sigma: float, protons: int, seed: int
    ) -> None:
        """All its input files. A material number times 1000 stands for a CT number."""
        numbers = [int(number) for number in np.unique(medium.material)]
        densities, labels = ["-1000 0.001"], [f"-1050 {LABELS['air'][0]}"]  # it wants two rows or more
        for number in numbers:
            label, density = self._material(medium, number)
            densities.append(f"{1000 * number} {density:.6f}")
            labels.append(f"{1000 * number - 500} {label}")
        (place / "density.txt").write_text("\n".join(densities) + "\n")
        (place / "material.txt").write_text("\n".join(labels) + "\n")
        _write_image(place, medium)
        low = np.asarray(medium.grid.origin) - 0.5 * np.asarray(medium.grid.spacing)
        height = medium.grid.shape[1] * medium.grid.spacing[1]
        isocentre = (-low[0], height + low[1], -low[2])
        (place / "bdl.txt").write_text(_BDL.format(energy=energy, sigma=sigma, nozzle=_NOZZLE_MM))
        (place / "plan.txt").write_text(_PLAN.format(energy=energy, x=isocentre[0], y=isocentre[1],
                                                     z=isocentre[2]))  # fmt: skip
        (place / "config.txt").write_text(_CONFIG.format(protons=protons, seed=seed, threads=0))
        (place / "Outputs").mkdir()

    def _material(self, medium: Medium, number: int) -> tuple[int, float]:
        """MCsquare's number of a material, and the density that gives it our relative stopping power."""
        ours = medium.table.materials[number]
        if ours.name not in LABELS:
            raise PtcsError(_("MCsquare has no material {name}").format(name=ours.name))
        label, folder = LABELS[ours.name]
        here = medium.density[medium.material == number]
        if float(np.ptp(here)) > 1e-4:
            raise PtcsError(f"material {ours.name} has more than one density")
        power = float(here[0]) * float(ours.stopping_ratio(REFERENCE_MEV))
        return label, power / (self._stopping(folder) / self._stopping("Water"))

    def _stopping(self, folder: str) -> float:
        rows = np.loadtxt(self._materials / folder / "G4_Stop_Pow.dat")
        return float(np.interp(REFERENCE_MEV, rows[:, 0], rows[:, 1]))


def _write_image(place: Path, medium: Medium) -> None:
    """The CT: x and y run backwards, and every field of the header is given."""
    nz, ny, nx = medium.grid.shape
    hu = (1000 * medium.material.astype(np.int32))[:, ::-1, ::-1].astype("<f4")
    np.ascontiguousarray(hu).tofile(place / "ct.raw")
    spacing = " ".join(f"{value:g}" for value in medium.grid.spacing)
    (place / "ct.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
        f"CenterOfRotation = 0 0 0\nElementSpacing = {spacing}\nDimSize = {nx} {ny} {nz}\n"
        "ElementType = MET_FLOAT\nElementNumberOfChannels = 1\nElementDataFile = ct.raw\n"
    )


# The title chooses its reader of the file; with no divergence or no correlation it finds no protons.
_BDL = """--UPenn beam model (double gaussian)--
Nozzle exit to Isocenter distance
{nozzle}

SMX to Isocenter distance
1000000.0

SMY to Isocenter distance
1000000.0

Beam parameters
2 energies

NominalEnergy MeanEnergy EnergySpread ProtonsMU Weight1 SpotSize1x Divergence1x Correlation1x SpotSize1y \
Divergence1y Correlation1y Weight2 SpotSize2x Divergence2x Correlation2x SpotSize2y Divergence2y Correlation2y
{energy} {energy} 0 1000000 1 {sigma} 1e-6 1e-3 {sigma} 1e-6 1e-3 0.0 {sigma} 1e-6 1e-3 {sigma} 1e-6 1e-3
300.0 300.0 0 1000000 1 {sigma} 1e-6 1e-3 {sigma} 1e-6 1e-3 0.0 {sigma} 1e-6 1e-3 {sigma} 1e-6 1e-3
"""

_PLAN = """#TREATMENT-PLAN-DESCRIPTION
#PlanName
validation
#NumberOfFractions
1
##FractionID
1
##NumberOfFields
1
###FieldsID
1
#TotalMetersetWeightOfAllFields
1.0

#FIELD-DESCRIPTION
###FieldID
1
###FinalCumulativeMeterSetWeight
1.0
###GantryAngle
0.0
###PatientSupportAngle
0.0
###IsocenterPosition
{x:.4f} {y:.4f} {z:.4f}
###NumberOfControlPoints
1

#SPOTS-DESCRIPTION
####ControlPointIndex
1
####SpotTunnedID
1
####CumulativeMetersetWeight
1.0
####Energy (MeV)
{energy}
####NbOfScannedSpots
1
####X Y Weight
0.0 0.0 1.0
"""

_CONFIG = """Num_Threads {threads}
RNG_Seed {seed}
Num_Primaries {protons}
E_Cut_Pro 0.5
D_Max 0.2
Epsilon_Max 0.25
Te_Min 0.05
CT_File ct.mhd
HU_Density_Conversion_File density.txt
HU_Material_Conversion_File material.txt
BDL_Machine_Parameter_File bdl.txt
BDL_Plan_File plan.txt
Simulate_Nuclear_Interactions True
Simulate_Secondary_Protons True
Simulate_Secondary_Deuterons True
Simulate_Secondary_Alphas True
Compute_stat_uncertainty False
Output_Directory Outputs
Energy_MHD_Output False
Dose_MHD_Output True
Dose_to_Water_conversion OnlineSPR
"""
