"""From a prescription to a plan on a phantom, judged with both engines; and a field in a real abdomen."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.dicom import ct as images
from common.dicom import files, modules, structures
from common.dicom.ct import CtVolume
from common.dicom.plan import PatientIdentity
from common.dicom.structures import Roi, StructureSet
from common.text import _
from tps_engine.dose import engines
from tps_engine.dose.recompute import RBE_PROTON
from tps_engine.patient import model as patient_model
from tps_engine.patient import stopping_power
from tps_engine.patient.grid import Floats
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, Prescription
from tps_engine.validate import doses
from tps_engine.validate.case import Case, Check, Outcome, Setup, at_least, at_most, within
from tps_engine.validate.doses import Scored
from tps_engine.validate.pictures import differences

_WANTED = 2.0
_NOBODY = PatientIdentity("validation", "Phantom^Validation", "19700101", "O")


def cases() -> list[Case]:
    """The two plans."""
    return [
        Case("impt", _("plans"), _("intensity-modulated plan on a phantom, from prescription to dose"),
             "pb, mc", _("clinical goals, recomputed by Monte Carlo"), impt, quick=False),
        Case("abdomen", _("plans"), _("one field on a real abdomen"), "pb",
             _("our Monte Carlo, dose to water"), abdomen, quick=False),
    ]  # fmt: skip


def _box(x: tuple[float, float], y: tuple[float, float], planes: Floats) -> tuple[Floats, ...]:
    corners = ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))
    return tuple(np.array([(a, b, z) for a, b in corners], dtype=np.float64) for z in planes)


def phantom() -> tuple[CtVolume, StructureSet]:
    """Water with a slab of 300 HU before a target cube of 30 mm, and an organ behind it."""
    shape, spacing = (40, 60, 50), 3.0
    origin = tuple(-0.5 * (count - 1) * spacing for count in reversed(shape))
    hu = np.zeros(shape, dtype=np.float32)
    ct = CtVolume(
        hu, (origin[0], origin[1], origin[2]), (spacing,) * 3, _NOBODY, "1.2.1", "1.2.2", "1.2.3",
        tuple(f"1.2.4.{k}" for k in range(shape[0])),
    )  # fmt: skip
    hu[:, 12:16] = 300.0
    z = ct.z
    target = z[np.abs(z) < 15.0]
    rois = (
        ("External", "EXTERNAL", _box((-68, 68), (-84, 84), z[2:-2])),
        ("target", "PTV", _box((-15, 15), (-15, 15), target)),
        ("organ", "ORGAN", _box((-15, 15), (25, 45), target)),
    )
    named = {name: Roi(k, name, kind, lines) for k, (name, kind, lines) in enumerate(rois, 1)}
    drawn = StructureSet(_NOBODY, "1.2.5", "1.2.1", "1.2.6", "1.2.3", "1.2.2", "phantom", named)
    return ct, drawn


def impt(setup: Setup) -> Outcome:
    """Goals of ICRU 78's kind: coverage, hot spots, organ; the same with the Monte Carlo dose, and gamma."""
    ct, drawn = phantom()
    wanted = Prescription("target", _WANTED, 30, (OrganLimit("organ", 20.0),))
    fields = (FieldRequest("A", 0.0), FieldRequest("B", 90.0))
    plan = make_plan(ct, drawn, wanted, fields, setup.model)
    patient = patient_model.build(ct, drawn, ["organ"], "target", stopping_power.load())
    options = engines.Options(noise=0.01 * setup.noise, seed=20)
    run = engines.full_engine_of("mc")
    parts = [run(patient, plan.grid, one, setup.model, options, lambda _done: None) for one in plan.beams]
    noise = max(100.0 * (part.noise or 0.0) for part in parts)
    total = np.asarray(np.sum([part.dose for part in parts], axis=0) * RBE_PROTON, dtype=np.float32)
    found = {"pb": Scored(plan.grid, plan.dose, 0.0), "mc": Scored(plan.grid, total, noise)}
    checks: list[Check] = [at_least(_("optimiser converged"), float(plan.converged), 1.0, "")]
    for engine, scored in found.items():
        checks += _goals(engine, scored, plan.regions["target"], plan.regions["organ"])
    checks.append(doses.noise_check(found["mc"], setup.noise))
    checks.append(
        doses.gamma_check(doses.compare(found["mc"], found["pb"], 2.0, 2.0), 98.0, _("Monte Carlo"))
    )
    names = (_("Monte Carlo"), _("pencil beam"))
    picture = differences(_("the plan"), plan.grid, (found["mc"].dose, found["pb"].dose), names)
    note = _("{spots} spots in {layers} layers").format(spots=plan.spots, layers=plan.layers)
    return Outcome(tuple(checks), (picture,), (note, *plan.warnings))


def _goals(engine: str, scored: Scored, target: NDArray[np.bool_], organ: NDArray[np.bool_]) -> list[Check]:
    dose = scored.dose[target]
    d95, d2 = (100.0 * float(np.percentile(dose, level)) / _WANTED for level in (5, 98))
    mean = 100.0 * (float(dose.mean(dtype=np.float64)) / _WANTED - 1.0)
    behind = 100.0 * float(scored.dose[organ].mean(dtype=np.float64)) / _WANTED
    return [
        at_least(f"{engine}: D95", d95, 95.0, "%", _("target")),
        at_most(f"{engine}: D2", d2, 107.0, "%", _("target")),
        within(f"{engine}: " + _("mean dose - prescription"), mean, 2.0, "%", _("target")),
        at_most(f"{engine}: " + _("mean dose"), behind, 33.3, "%", _("organ")),
    ]


def abdomen(setup: Setup) -> Outcome:
    """A posterior field on the third lumbar vertebra of a public CT; both engines on the same patient."""
    folder = setup.file("ct_abdomen_pelvis_real", "dicom")
    ct, drawn = _series(folder)
    wanted = Prescription("vertebrae_L3", _WANTED, 25)
    plan = make_plan(ct, drawn, wanted, (FieldRequest("P", 180.0),), setup.model)
    patient = patient_model.build(ct, drawn, [], "vertebrae_L3", stopping_power.load())
    options = engines.Options(noise=0.01 * setup.noise, seed=20)
    run = engines.full_engine_of("mc")
    one = run(patient, plan.grid, plan.beams[0], setup.model, options, lambda _done: None)
    reference = Scored(plan.grid, one.dose, 100.0 * (one.noise or 0.0))
    pencil = Scored(plan.grid, (plan.dose / RBE_PROTON).astype(np.float32), 0.0)
    high = reference.dose > 0.5 * reference.dose.max()
    ratio = float(pencil.dose[high].mean(dtype=np.float64) / reference.dose[high].mean(dtype=np.float64))
    checks = (
        doses.noise_check(reference, setup.noise),
        doses.gamma_check(doses.compare(reference, pencil, 2.0, 2.0), 98.0, _("Monte Carlo")),
        within(_("mean dose above half maximum"), 100.0 * (ratio - 1.0), 2.0, "%", _("Monte Carlo")),
    )
    names = (_("Monte Carlo"), _("pencil beam"))
    picture = differences(_("the plan"), plan.grid, (reference.dose, pencil.dose), names)
    note = _("{spots} spots in {layers} layers").format(spots=plan.spots, layers=plan.layers)
    return Outcome(checks, (picture,), (note,))


def _series(folder: Path) -> tuple[CtVolume, StructureSet]:
    datasets = files.read_folder(folder)
    drawn = next(ds for ds in datasets if modules.text(ds, "Modality") == "RTSTRUCT")
    return images.read_series(datasets), structures.from_dataset(drawn)
