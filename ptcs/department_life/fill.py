"""Images, plans and records for some of the seeded patients of a running OIS."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from common.dicom import files
from common.files import read_json
from common.links.http import Files, JsonClient
from common.site import DEFAULT_SITE, Site
from common.site import load as load_site
from common.state import StateDir
from ptcs.department_life import beam, planning
from ptcs.department_life.beam import Fraction, Hardware
from ptcs.department_life.case import Case, chosen, known
from tps_engine.beamdata import model as beam_models

PATH = "/department/seed/objects"
PAUSED = 0.05
"""Part of the fractions that are interrupted once and continued."""


def fill(ois: JsonClient, state: StateDir, most: int, each: Callable[[int], None]) -> int:
    """Make objects for at most so many courses; `each(count)` after every one. Returns how many got them.

    ois: as an administrator. None get any where the site does not treat with scanned protons, or where the
    machine of the OIS is not the site's. Raises Refused, Unauthorised, LinkLost.
    """
    wanted = ois.get(PATH)
    site = site_of(state)
    cases = chosen(known(wanted["courses"]), most)
    if wanted["machine"] != site.machine or "proton" not in site.ions:
        cases = []
    for count, case in enumerate(cases, start=1):
        objects = make(case, site, wanted["therapists"])
        ois.post_files(f"{PATH}/{case.course}", {"organs": json.dumps(case.organs)}, _parts(objects))
        each(count)
    return len(cases)


def make(case: Case, site: Site, therapists: Sequence[str]) -> list[Dataset]:
    """Everything of one course: CT, structures, dose, plan, and a record of each fraction so far."""
    planned = planning.make(case, site, beam_models.load(site.beam_model))
    hardware, digest = Hardware(site), beam.hash_of(planned.plan_object)
    objects = list(planned.objects)
    for fraction in _fractions(case, therapists):
        objects += hardware.give(planned.plan, digest, fraction)
    return objects


def site_of(state: StateDir) -> Site:
    """The site of a facility, the default one where only an OIS runs."""
    if state.facility.exists():
        return load_site(Path(read_json(state.facility)["site_file"]))
    return load_site(DEFAULT_SITE)


def _fractions(case: Case, therapists: Sequence[str]) -> Iterator[Fraction]:
    chance = random.Random(case.course)  # noqa: S311 - who worked on a day
    for number, begin in enumerate(case.treated, start=1):
        team = chance.sample(list(therapists), min(2, len(therapists)))
        paused = chance.uniform(0.2, 0.8) if chance.random() < PAUSED else None
        yield Fraction(number, begin, team, paused)


def _parts(objects: Sequence[Dataset]) -> Files:
    return {
        f"object{number}": (f"{number}.dcm", files.to_bytes(ds), "application/dicom")
        for number, ds in enumerate(objects)
    }
