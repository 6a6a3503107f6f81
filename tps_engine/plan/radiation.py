"""What planning needs of a machine, the same for protons and for ions with tables.

Protons have beam models, whose matrix is quick and approximate against their forward dose; a plan's last
pass works on the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.dicom.plan import IonBeam
from common.errors import BadInput
from common.text import _
from tps_engine.beamdata.ion_machine import IonMachine
from tps_engine.beamdata.model import BeamModel
from tps_engine.biology import ion_models, mkm_set, parameters, rbe
from tps_engine.biology.mkm_set import Cell
from tps_engine.device import choice
from tps_engine.dose import beam, engine, spots
from tps_engine.dose.field import prepare
from tps_engine.dose.raytrace import water_depth
from tps_engine.dose.spots import Spots
from tps_engine.optimise.delivery_time import Timing
from tps_engine.patient.grid import Floats, Grid
from tps_engine.patient.model import Patient
from tps_engine.plan.effects import DOSE, LET_DOSE, PHYSICAL, Effects, Matrices, Sums
from tps_engine.plan.geometry import Place
from tps_engine.plan.ion_radiation import Ions, Mask, Tissues
from tps_engine.plan.layout import LayoutOptions

MKM, _USUAL_CELLS = "MKM", "HSG"


@dataclass(frozen=True)
class Protons:
    """A beam model of protons. device: what calculates the dose of beams; see `device.choice`."""

    model: BeamModel
    species: str = "PROTON"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.model.ion != "proton":
            raise BadInput(
                _("machine {name} is for {ion}: allowed here is proton").format(
                    name=self.model.name, ion=self.model.ion
                )
            )

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def version(self) -> str:
        """The model's."""
        return self.model.version

    @property
    def energies(self) -> Floats:
        """(e,) MeV, rising."""
        return self.model.energies

    @property
    def virtual_sad(self) -> tuple[float, float]:
        """Virtual source distances x, y, mm."""
        return self.model.virtual_sad

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest MU of a spot."""
        return self.model.minimum_mu, self.model.maximum_mu

    @property
    def layout(self) -> LayoutOptions:
        """Spacing of spots that gives an even dose."""
        return LayoutOptions()

    @property
    def timing(self) -> Timing:
        """What delivery takes."""
        return Timing()

    def index_of(self, energy: float) -> int:
        """Row of an energy. Raises BadInput."""
        return self.model.index_of(energy)

    def peaks(self) -> tuple[Floats, Floats]:
        """Depth of the peak and its standard deviation, mm."""
        return self.model.peaks()

    def width(self, row: int) -> tuple[float, float]:
        """Standard deviations in air, mm."""
        return float(self.model.sigma[row, 0]), float(self.model.sigma[row, 1])

    def spots(self, energy: Floats, x: Floats, y: Floats) -> Spots:
        """Spots of the machine's widths."""
        return spots.nominal(self.model, energy, x, y)

    def depth(self, place: Place) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth and entrance."""
        return water_depth(place.rsp, place.grid, place.frame, place.points)

    def effects(
        self, model: str, shape: tuple[int, ...], regions: Mapping[str, Mask], tissues: Tissues
    ) -> Effects:
        """RBE models of the set `proton-rbe`, and physical dose."""
        known = parameters.load()
        if model != PHYSICAL:
            known.model(model)
        ratio = rbe.alpha_beta_map(known, shape, regions, tissues).ravel().astype(np.float64)
        none = np.zeros(0)
        return Effects(model, known, ratio, np.zeros(0, np.int8), (none, none))

    def matrices(
        self, place: Place, placed: Spots, sums: frozenset[str], _effects: Effects, memory: int
    ) -> Matrices:
        """Dose, and LET x dose where it is wanted."""
        voxels = prepare(place.rsp, place.grid, place.frame, place.points)
        if LET_DOSE not in sums:
            return {DOSE: engine.influence(voxels, self.model, placed, memory)}
        dose, weighed = engine.influence_with_let(voxels, self.model, placed, memory)
        return {DOSE: dose, LET_DOSE: weighed}

    def beam(
        self, patient: Patient, grid: Grid, given: IonBeam, sums: frozenset[str], _effects: Effects
    ) -> Sums:
        """Sums of a beam."""
        if LET_DOSE not in sums:
            return {
                DOSE: beam.beam_dose(patient, grid, given, self.model, self.device).ravel().astype(np.float64)
            }
        dose, let = beam.beam_dose_and_let(patient, grid, given, self.model, self.device)
        flat = dose.ravel().astype(np.float64)
        return {DOSE: flat, LET_DOSE: flat * let.ravel()}


Radiation = Protons | Ions
Machine = BeamModel | IonMachine | Protons | Ions
"""What a caller may plan with."""


def of(machine: Machine) -> Radiation:
    """A machine as planning sees it. Raises BadInput for a beam model of another ion than protons."""
    if isinstance(machine, BeamModel):
        return Protons(machine)
    return Ions(machine) if isinstance(machine, IonMachine) else machine


def on_device(radiation: Radiation, device: str) -> Radiation:
    """The machine with what calculates the dose of beams. Raises BadInput for a device that there is not."""
    chosen = choice.chosen(device)
    if isinstance(radiation, Protons):
        return replace(radiation, device=chosen)
    if device == "cuda":
        raise BadInput(_("carbon plans are calculated on the cores only; take device cpu or auto"))
    return radiation


def with_model(radiation: Radiation, wanted: str, prescribed: str) -> tuple[Radiation, str]:
    """The machine with a biological model, and the model's name as plans carry it.

    wanted: "" for the prescription's model (protons) or the machine's tables (ions); physical; an RBE model
    of the set `proton-rbe`; for ions MKM, or MKM and a cell line of the set `carbon-mkm`. Raises BadInput.
    """
    if isinstance(radiation, Protons):
        return radiation, wanted or prescribed
    machine = radiation.machine
    if wanted == PHYSICAL:
        return radiation, PHYSICAL
    name = _cell_name(wanted)
    if name:
        made = ion_models.with_mkm(machine, mkm_set.load(), (name,))
        return Ions(made), made.biology
    if wanted not in ("", machine.biology) or not machine.tissues:
        own = (machine.biology,) if machine.tissues else ()
        raise BadInput(
            _("RBE model {name}: machine {machine} allows {allowed}").format(
                name=wanted or "-", machine=machine.name, allowed=", ".join((*own, MKM, PHYSICAL))
            )
        )
    return radiation, machine.biology


def cell_of(wanted: str) -> Cell | None:
    """The cell line of a model as `with_model` takes it; None where that is not MKM. Raises BadInput."""
    name = _cell_name(wanted)
    return mkm_set.load().cell(name) if name else None


def _cell_name(wanted: str) -> str:
    """Of MKM, or MKM and a cell line; "" for other models."""
    if wanted != MKM and not wanted.startswith(f"{MKM} "):
        return ""
    return wanted.removeprefix(MKM).strip() or _USUAL_CELLS
