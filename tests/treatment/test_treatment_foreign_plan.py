"""A plan that this nozzle cannot deliver as it stands is refused, naming what it wants."""

from dataclasses import replace

import numpy as np
import pytest

from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from common.errors import Refused
from treatment.approval import check_plan

ONE = np.ones(1, np.float32)
BEAM = IonBeam(1, "A", 0.0, 0.0, (0.0, 0.0, 0.0), (IonLayer(100.0, ONE, ONE, ONE, 10.0, 10.0),))
PLAN = IonPlan(
    PatientIdentity("1", "A^B", "19500101", "M"),
    *("1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7"),
    label="P",
    machine="M1",
    beams=(BEAM,),
    fractions=1,
    prescription=2.0,
    target="T",
)


@pytest.mark.requirement("OIS-RV")
@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (replace(PLAN, machine="M2"), "M2"),
        (replace(PLAN, meterset_unit="NP"), "counts in NP"),
        (replace(PLAN, beams=(replace(BEAM, accessories=("block B1",)),)), "block B1"),
        (replace(PLAN, beams=(replace(BEAM, range_shifter="RS1"),)), "RS1"),
        (replace(PLAN, beams=()), "no beams"),
    ],
)
def test_refused(plan: IonPlan, message: str) -> None:
    check_plan(PLAN, "M1")
    with pytest.raises(Refused, match=message):
        check_plan(plan, "M1")
