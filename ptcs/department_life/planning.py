"""The scan of a patient and a plan on it: by the simulated scanner and by the planning library."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from common.dicom import ct, ion_plan, rt_dose, structures
from common.dicom.plan import IonPlan
from common.site import Site
from ptcs.demo.planning import FIXED_COUCH, RBE_MODEL, beam_angles
from ptcs.department_life.case import Case
from simulation.scanner.bodies import FRAMES
from simulation.scanner.scan import Session, scanned
from tps_engine import output
from tps_engine.beamdata.model import BeamModel
from tps_engine.patient import stopping_power
from tps_engine.plan.layout import LayoutOptions
from tps_engine.plan.planning import make_plan
from tps_engine.plan.request import FieldRequest, OrganLimit, PlanOptions, Prescription
from tps_engine.scripting.plan import Plan

QUICK = PlanOptions(margin=2.0, dose_spacing=6.0, layout=LayoutOptions(lateral=9.0, least_step=7.0))
"""A coarse grid and wide spots: one or two seconds a plan."""

LABEL = "Plan1"
"""As the treatment sheets of the department name it (config/department/demo.yaml)."""


@dataclass(frozen=True)
class Planned:
    """Everything of a patient up to the plan."""

    objects: Sequence[Dataset]
    plan: IonPlan
    plan_object: Dataset


def make(case: Case, site: Site, model: BeamModel) -> Planned:
    """Scan, structures, plan and computed dose of a course. Raises BadInput, Refused."""
    chance = random.Random(case.patient.patient_id)  # noqa: S311 - sizes of a body
    anatomy = case.region.patient(case.target, chance)
    session = Session(
        patient=case.patient,
        description=f"{case.region.title} (synthetic)",
        label=case.region.title,
        created=case.stamp("simulation"),
        entropy=("department", case.course),
    )
    noise = np.random.default_rng(chance.randrange(2**32))
    volume, drawn = scanned(anatomy, FRAMES[case.region.frame], session, noise)
    drawn = replace(drawn, created=case.stamp("contouring"))
    limits = tuple(OrganLimit(name, dose) for name, dose in case.organs.items())
    wanted = Prescription(case.target, case.dose_per_fraction, case.fractions, limits, RBE_MODEL)
    calibration = stopping_power.load()
    result = make_plan(
        volume, drawn, wanted, _fields(case, site), model, QUICK, lambda _part, _step: None, calibration
    )
    made = Plan(output.Case(volume, drawn), wanted, model, calibration, result, QUICK)
    plan, dose = made.objects(site.machine)
    when = case.stamp("planning")
    plan = replace(plan, label=LABEL, created=when)
    written = ion_plan.to_dataset(plan)
    images = [*ct.to_datasets(volume), structures.to_dataset(drawn, volume)]
    return Planned([*images, rt_dose.to_dataset(replace(dose, created=when)), written], plan, written)


def _fields(case: Case, site: Site) -> list[FieldRequest]:
    """Two fields; behind a fixed beam the couch turns instead of the gantry."""
    low, high = beam_angles(site, site.rooms[0])
    if low == high:
        return [
            FieldRequest(f"F{number}", low % 360.0, couch)
            for number, couch in enumerate(FIXED_COUCH, start=1)
        ]
    return [
        FieldRequest(f"F{number}", angle, 0.0) for number, angle in enumerate(case.region.gantry, start=1)
    ]
