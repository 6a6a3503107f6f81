"""A short fault campaign on the real processes of the synchrotron: about forty faults, each judged whole."""

from collections.abc import Iterator

import pytest

from benchmarks.fault_campaign import campaign, result
from benchmarks.fault_cases import Deck, Neighbours
from benchmarks.machine_rig import Rig
from common.site import CONFIG, load
from interlock import matrix
from simulation.plant.family import Effect
from simulation.plant.registry import FAMILIES

FAULTS = 40


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    machine = Rig(tmp_path_factory.mktemp("campaign"), CONFIG / "synchrotron.yaml", "room1", seed=5)
    try:
        machine.up()
        yield machine
    finally:
        machine.stop()


@pytest.mark.slow
@pytest.mark.requirement("ACS-INTERLOCK")
def test_every_fault_takes_beam_away_with_the_right_cause_and_beam_comes_back(rig: Rig) -> None:
    outcomes = campaign(rig, FAULTS, seed=11)
    line = result(rig, outcomes, 0.0)
    assert line["n"] == FAULTS
    assert line["wrong"] == []
    assert {"fpga", "link"} < set(line["families"])
    assert line["tripped"] > FAULTS / 2


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_deck_has_every_kind_of_every_family_and_rows_for_each_fault_that_trips() -> None:
    site = load(CONFIG / "synchrotron.yaml")
    table = matrix.load(site.interlock_path)
    deck = Deck(site, table, "room1", seed=1)
    cases = list(deck.cases(len(deck.kinds)))
    assert {(case.family, case.kind) for case in cases} == {
        (name, kind) for name, family in FAMILIES.items() if site.of_class(name) for kind in family.faults
    }
    for case in cases:
        assert case.own <= case.next <= case.near
        assert case.spared or case.own
    near = Neighbours(site, table)
    pump = next(d for d in site.of_class("WaterPump") if d.wire == "water-septa-pump")
    assert {"water-septa-pump", "water-septa"} <= near.near(pump, 1)
    assert not near.near(pump, 1) & {"rf-knock-out", "source-ecr-1"}
    assert FAMILIES["MagnetSupply"].faults["drift"].effect is Effect.BEAM
