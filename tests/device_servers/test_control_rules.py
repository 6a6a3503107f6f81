"""Control of an area: every state that people can bring about, and then the same with real files."""

import itertools
import json
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from common import authority
from common import site as sites
from common.errors import BadConfig, Refused, Unauthorised
from common.files import read_json
from common.hashchain import entries
from common.state import StateDir
from device_servers import control_areas
from device_servers.control_areas import Area, Areas, idle_patterns
from device_servers.control_file import Control
from device_servers.services.control import desk
from device_servers.services.control.desk import Asked, Person, Place
from device_servers.services.control.keeper import Keeper
from device_servers.services.control.start import keeper_of
from device_servers.services.control.table import BY_PERSON, TABLE, Event, State

RANKS = {"operator": 1, "therapist": 2, "service": 3}
AREA = Area("room1", "Room", "室", True, 600.0, RANKS, ("room1/*/*",), ("room1",))
OPEN = replace(AREA, name="open", required=False, devices=("open/*/*",))
FAR = 4e9
PEOPLE = [
    Person("ann", frozenset({"operator"}), FAR),
    Person("bob", frozenset({"operator"}), FAR),
    Person("sam", frozenset({"service"}), FAR),
    Person("thea", frozenset({"therapist"}), FAR),
    Person("phil", frozenset({"physician"}), FAR),
]
TREATED = (frozenset[str](), frozenset({"room1"}))


def acts() -> Iterator[Asked]:
    for event, by, treated in itertools.product(sorted(BY_PERSON), PEOPLE, TREATED):
        for to in ("", *(person.user for person in PEOPLE)) if event is Event.OFFER else ("",):
            reason = "it has to be mended" if event is Event.TAKE else ""
            yield Asked(event, by, 0.0, to, reason, treated)


def after(place: Place, asked: Asked) -> Place | None:
    """What an act leads to; None when it is refused."""
    try:
        return desk.act(AREA, place, asked)
    except Refused:
        return None


def reachable() -> dict[Place, list[tuple[Asked | None, Place]]]:
    """Every place that acts and lapses lead to, with the steps that leave it."""
    found: dict[Place, list[tuple[Asked | None, Place]]] = {}
    waiting = deque([Place()])
    while waiting:
        place = waiting.popleft()
        if place in found:
            continue
        steps: list[tuple[Asked | None, Place]] = [
            (asked, to) for asked in acts() if (to := after(place, asked)) is not None
        ]
        for gone in ({"ann"}, {"ann", "bob"}, {person.user for person in PEOPLE}):
            for treated in TREATED:
                to, event, _why = desk.lapse(AREA, place, 0.0, lambda who, g=gone: who.user in g, treated)
                steps += [(None, to)] if event else []
        found[place] = steps
        waiting.extend(to for _asked, to in steps)
    return found


@pytest.mark.requirement("ACS-USERS")
def test_control_changes_hands_by_consent_rank_or_absence_only() -> None:
    places = reachable()
    assert {place.state for place in places} == set(State) and len(places) > 20
    for place, steps in places.items():
        for asked, to in steps:
            assert to.holder is None or AREA.rank(to.holder.roles) > 0
            if asked is None or (to == place and asked.event is Event.REQUEST):
                continue  # time; or the holder renews
            assert to.state is TABLE[place.state].get(asked.event, State.HELD)
            if to.holder == place.holder or to.holder is None:
                continue
            if place.holder is None:
                assert asked.event is Event.REQUEST and to.holder == asked.by
                assert not asked.treated or "therapist" in asked.by.roles
            elif asked.event in (Event.OFFER, Event.RELEASE):
                assert asked.by.user == place.holder.user and to.holder == place.asker
            elif asked.event in (Event.ACCEPT, Event.REQUEST):
                assert to.holder == asked.by and place.offered == asked.by.user
            else:
                assert asked.event is Event.TAKE and asked.reason and not asked.treated
                assert AREA.rank(asked.by.roles) > AREA.rank(place.holder.roles)


@pytest.mark.requirement("ACS-USERS")
def test_from_every_state_an_area_comes_free_and_every_row_of_the_table_happens() -> None:
    places = reachable()
    free = {Place()}
    while True:
        more = {place for place, steps in places.items() if any(to in free for _asked, to in steps)} - free
        if not more:
            break
        free |= more
    assert free == set(places)
    seen = {(place.state, asked.event) for place, steps in places.items() for asked, _to in steps if asked}
    by_people = {(state, event) for state, row in TABLE.items() for event in row if event in BY_PERSON}
    assert by_people <= seen


@pytest.mark.requirement("ACS-USERS")
def test_idleness_expiry_and_unanswered_requests_end_by_time() -> None:
    ann, bob, thea = PEOPLE[0], PEOPLE[1], PEOPLE[3]

    def stays(_person: Person) -> bool:
        return False

    held = desk.act(AREA, Place(), Asked(Event.REQUEST, replace(ann, expires=5000.0), 100.0))
    assert desk.lapse(AREA, held, 699.0, stays)[1] is None
    free, event, why = desk.lapse(AREA, held, 700.0, stays)
    assert (free.state, event) == (State.FREE, Event.LAPSE) and "10 minutes" in why
    treated = frozenset({"room1"})
    assert desk.lapse(AREA, held, 4000.0, stays, treated)[1] is None
    assert desk.lapse(AREA, held, 5000.0, stays, treated)[1] is Event.LAPSE
    asked = desk.act(AREA, held, Asked(Event.REQUEST, bob, 200.0))
    assert desk.lapse(AREA, asked, 500.0, stays)[1] is Event.FORGET
    handed, event, _why = desk.lapse(AREA, replace(asked, pending_since=690.0), 700.0, stays)
    assert event is Event.LAPSE and handed.holder == bob
    kept = replace(asked, pending_since=4990.0)
    assert desk.lapse(AREA, kept, 5000.0, stays, treated)[0].state is State.FREE, "an operator in a treatment"
    nurse = replace(kept, asker=thea)
    assert desk.lapse(AREA, nurse, 5000.0, stays, treated)[0].holder == thea
    with pytest.raises(Unauthorised, match="log in again"):
        desk.act(AREA, Place(), Asked(Event.REQUEST, replace(ann, expires=10.0), 10.0))


DEVICES = {"room1/a/b": AREA, "open/a/b": OPEN}
AREAS = Areas((AREA, OPEN), DEVICES, 600.0, 0.0)


def admitted(view: Control, device: str, now: float) -> set[str]:
    """Who may write to a device, by the file alone."""
    found = set()
    for person in PEOPLE:
        try:
            view.check(device, person.user, datetime.fromtimestamp(now, tz=UTC))
        except Unauthorised:
            continue
        found.add(person.user)
    return found


class WithFiles(RuleBasedStateMachine):
    """People act, time passes, processes die and disks fill up; two servers read the file all the time."""

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.state = StateDir(Path(self._folder.name))
        self.now = 1.8e9
        self.keeper: Keeper = keeper_of(self.state, AREAS, lambda: self.now)
        self.views = [Control(AREAS, self.state.holders, self.state.machine_public_key) for _ in range(2)]

    @rule(
        area=st.sampled_from(["room1", "open"]),
        event=st.sampled_from(sorted(BY_PERSON)),
        by=st.sampled_from(PEOPLE),
        to=st.sampled_from(["", "ann", "thea"]),
        treated=st.sampled_from(TREATED),
        lasts=st.sampled_from([30.0, 900.0, 20000.0]),
    )
    def act(
        self, area: str, event: Event, by: Person, to: str, treated: frozenset[str], lasts: float
    ) -> None:
        by = replace(by, expires=self.now + lasts)
        before = self.keeper.place(area)
        try:
            self.keeper.do(area, Asked(event, by, self.now, to, "it has to be mended", treated))
        except Refused:
            assert self.keeper.place(area) == before

    @rule(step=st.sampled_from([0.5, 20.0, 400.0, 700.0]), writer=st.sampled_from(["ann", "sam", "nobody"]))
    def wait(self, step: float, writer: str) -> None:
        self.now += step
        activity = dict.fromkeys(("room1", "open"), (writer, self.now))
        self.keeper.tick(activity, lambda _person: False, frozenset())

    @rule(step=st.sampled_from([0.0, 5.0]))
    def crash(self, step: float) -> None:
        before = {name: self.keeper.place(name).holder for name in ("room1", "open")}
        self.keeper.close()
        self.now += step
        self.keeper = keeper_of(self.state, AREAS, lambda: self.now)
        assert {name: self.keeper.place(name).holder for name in ("room1", "open")} == before

    @rule(by=st.sampled_from(PEOPLE))
    def act_on_a_full_disk(self, by: Person) -> None:
        before = self.keeper.place("room1")
        with pytest.MonkeyPatch.context() as disk:

            def full(_handle: int) -> None:
                raise OSError(28, "No space left on device")

            disk.setattr("common.hashchain.os.fsync", full)
            with pytest.raises(Refused):
                self.keeper.do("room1", Asked(Event.REQUEST, replace(by, expires=FAR), self.now))
                raise Refused("holder asked again for what it has")
        if before.holder is None or before.holder.user != by.user:
            assert self.keeper.place("room1") == before

    @invariant()
    def one_at_most(self) -> None:
        if not hasattr(self, "keeper"):
            return
        for device, area in DEVICES.items():
            holder = self.keeper.place(area.name).holder
            valid = holder is not None and desk.until(area, self.keeper.place(area.name)) > self.now
            first, second = (admitted(view, device, self.now) for view in self.views)
            assert first == second
            if holder is not None and valid:
                assert first <= {holder.user}
            elif area.required:
                assert not first
            else:
                assert len(first) in (len(PEOPLE), 1 if holder else len(PEOPLE))

    def teardown(self) -> None:
        if hasattr(self, "keeper"):
            self.keeper.close()
            assert len(entries(self.state.root / "control" / "control.log")) >= 0
            self._folder.cleanup()


TestWithFiles = WithFiles.TestCase
TestWithFiles.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWithFiles.pytestmark = [pytest.mark.requirement("ACS-USERS")]


@pytest.mark.requirement("ACS-USERS")
def test_areas_of_the_shipped_sites_name_devices_and_rooms_that_exist(tmp_path: Path) -> None:
    for name in ("demo", "synchrotron", "cyclotron"):
        site = sites.load(sites.CONFIG / f"{name}.yaml")
        areas = control_areas.load(site)
        assert idle_patterns(areas, site) == [], name
        uncovered = {d.area for d in site.devices if d.name not in areas.of_device}
        assert uncovered <= {"central", "services"}, name
        assert [d.name for d in site.devices if d.area == "services" and d.name not in areas.of_device] == [
            "services/control/1"
        ]
    demo = sites.load()
    bad = tmp_path / "control.yaml"
    bad.write_text(
        (sites.CONFIG / "control.yaml").read_text().replace("treatment: [room1]", "treatment: [cave]")
    )
    with pytest.raises(BadConfig, match="unknown room cave"):
        control_areas.load(replace(demo, control_path=bad))
    assert control_areas.load(replace(demo, control_path=None)) == Areas()


@pytest.mark.requirement("ACS-USERS")
def test_when_people_wrote_last_is_known_after_a_restart(tmp_path: Path) -> None:
    state, clock = StateDir(tmp_path), [1.8e9]
    keeper = keeper_of(state, AREAS, lambda: clock[0])
    keeper.do("room1", Asked(Event.REQUEST, PEOPLE[0], clock[0]))
    clock[0] += 550.0
    keeper.tick({"room1": ("ann", clock[0])}, lambda _person: False, frozenset())
    keeper.close()
    clock[0] += 300.0
    keeper = keeper_of(state, AREAS, lambda: clock[0])
    assert keeper.tick({}, lambda _person: False, frozenset()) == []
    clock[0] += 301.0
    assert keeper.tick({}, lambda _person: False, frozenset()) == ["room1"]
    keeper.close()
    told: dict[str, Any] = authority.read_statement(
        authority.load_public(state.machine_public_key), read_json(state.holders)["signed"]
    )
    assert told["grants"] == {} and json.dumps(told)
