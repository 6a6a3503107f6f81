"""Local log-ins while the OIS is silent: who, how long, how often wrong, and what the OIS hears of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common import authority
from common.errors import Refused, Unauthorised
from common.state import StateDir
from device_servers.callers import Client
from device_servers.control_areas import Area, Areas
from device_servers.control_file import Control
from device_servers.guard import Guard
from device_servers.services.control.break_glass import BreakGlass, hashed, wait_s
from device_servers.services.control.desk import Asked, Person
from device_servers.services.control.keeper import Keeper
from device_servers.services.control.start import keeper_of
from device_servers.services.control.table import Event

SECRET = "correct horse battery"
WHY = "the network is down"
RING = Area("ring", "Ring", "环", True, 600.0, {"operator": 1, "service": 2}, ("ring/*/*",))
AREAS = Areas((RING,), {"ring/a/b": RING}, 600.0, 0.0)
ME = Client("localhost", 1)


class Clocks:
    """What the wall shows, and what nobody sets."""

    def __init__(self) -> None:
        self.wall, self.steady = 1.8e9, 100.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall, tz=UTC)


class Plant:
    """An authority and one server's guard."""

    def __init__(self, folder: Path) -> None:
        self.state, self.clocks = StateDir(folder), Clocks()
        authority.new_key(self.state.signing_key, self.state.public_key)
        self.keeper: Keeper = keeper_of(self.state, AREAS, lambda: self.clocks.wall)
        control = Control(AREAS, self.state.holders, self.state.machine_public_key)
        self.guard = Guard(
            self.state.public_key,
            self.state.audit("one"),
            lambda: self.clocks.now,
            control=control,
            machine_key=self.state.machine_public_key,
            steady=lambda: self.clocks.steady,
        )

    def ois_token(self, user: str, role: str, hours: float = 8.0) -> str:
        key = authority.load_private(self.state.signing_key)
        return authority.issue(key, user, frozenset({role}), self.clocks.now, timedelta(hours=hours))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    made.keeper.glass.set_account("anna", frozenset({"operator"}), hashed(SECRET), "root")
    yield made
    made.keeper.close()
    made.guard.shut()


@pytest.mark.requirement("ACS-USERS")
def test_a_local_log_in_writes_as_an_operator_for_its_time_and_no_longer(plant: Plant) -> None:
    token = plant.keeper.break_glass("anna", SECRET, WHY)
    session = plant.guard.open(ME, token)
    assert (session.identity.user, session.identity.roles) == ("break-glass:anna", frozenset({"operator"}))
    with pytest.raises(Unauthorised, match="nobody has control"):
        plant.guard.check(ME, "accelerator", safe=False, device="ring/a/b")
    person = Person("break-glass:anna", frozenset({"operator"}), session.identity.expires.timestamp())
    plant.keeper.do("ring", Asked(Event.REQUEST, person, plant.clocks.wall))
    plant.guard.check(ME, "accelerator", safe=False, device="ring/a/b")
    with pytest.raises(Unauthorised, match="may not write in area treatment"):
        plant.guard.check(ME, "treatment", safe=False)
    plant.clocks.pass_(601.0)
    with pytest.raises(Unauthorised):
        plant.guard.check(ME, "accelerator", safe=False)
    plant.guard.check(ME, "accelerator", safe=True)
    with pytest.raises(Unauthorised):
        plant.guard.open(ME, token)


@pytest.mark.requirement("ACS-USERS")
def test_when_the_ois_is_back_local_log_ins_and_their_control_end(plant: Plant) -> None:
    token = plant.keeper.break_glass("anna", SECRET, WHY)
    plant.guard.open(ME, token)
    plant.guard.check(ME, "accelerator", safe=False)
    person = Person("break-glass:anna", frozenset({"operator"}), plant.clocks.wall + 600)
    plant.keeper.do("ring", Asked(Event.REQUEST, person, plant.clocks.wall))
    plant.keeper.end_break_glass("the OIS answers again")
    with pytest.raises(Unauthorised, match="local log-ins are over"):
        plant.guard.check(ME, "accelerator", safe=False)
    with pytest.raises(Unauthorised, match="local log-ins are over"):
        plant.guard.open(Client("localhost", 2), token)
    with pytest.raises(Unauthorised, match="local log-ins are over"):
        plant.guard.check_session(plant.guard.vouched(ME, token, "epics"), "accelerator", safe=False)
    assert plant.keeper.tick({}, lambda _person: False, frozenset()) == ["ring"]
    told = [(row["what"], row["user"]) for row in plant.keeper.glass.unreported()]
    assert told == [("account set", "anna"), ("used", "anna"), ("over", "")]
    plant.keeper.glass.reported(3)
    assert plant.keeper.glass.unreported() == []


@pytest.mark.requirement("SYS-ACCESS")
def test_wrong_passwords_make_everybody_wait_also_after_a_restart(plant: Plant) -> None:
    glass = plant.keeper.glass
    for user in ("anna", "nobody", "anna"):
        with pytest.raises(Unauthorised, match="is wrong"):
            glass.authenticate(user, "wrong", WHY)
    for _again in range(2):
        with pytest.raises(Unauthorised, match="try again in 30 s"):
            glass.authenticate("anna", SECRET, WHY)
        again = BreakGlass(
            plant.state.break_glass, plant.state.audit("break-glass"), lambda: plant.clocks.wall
        )
        with pytest.raises(Unauthorised, match="try again in 30 s"):
            again.authenticate("anna", SECRET, WHY)
        again.close()
    plant.clocks.pass_(31.0)
    with pytest.raises(Refused, match="say why"):
        glass.authenticate("anna", SECRET, "")
    assert glass.authenticate("anna", SECRET, WHY).user == "anna"
    assert [wait_s(n) for n in (0, 2, 3, 4, 5, 30)] == [0.0, 0.0, 30.0, 60.0, 120.0, 900.0]


@pytest.mark.requirement("SYS-ACCESS")
def test_local_accounts_are_few_hashed_and_private(plant: Plant) -> None:
    glass = plant.keeper.glass
    path = plant.state.break_glass
    assert path.stat().st_mode & 0o077 == 0 and SECRET not in path.read_text()
    with pytest.raises(Refused, match="allowed are operator, service"):
        glass.set_account("tom", frozenset({"therapist"}), hashed(SECRET), "root")
    with pytest.raises(Refused, match="hashed"):
        glass.set_account("tom", frozenset({"operator"}), SECRET, "root")
    with pytest.raises(Refused, match="at least 12"):
        hashed("short")
    glass.set_account("anna", frozenset({"operator"}), "", "root")
    with pytest.raises(Unauthorised, match="is wrong"):
        glass.authenticate("anna", SECRET, WHY)
    path.write_text("{broken")
    assert glass.accounts() == []


@pytest.mark.requirement("SYS-ACCESS")
def test_a_clock_that_is_put_back_prolongs_no_session(plant: Plant) -> None:
    plant.guard.open(ME, plant.ois_token("otto", "operator", hours=1.0))
    plant.clocks.pass_(1800.0)
    plant.clocks.wall -= 7 * 86400.0
    plant.guard.control.check_identity(plant.guard.sessions()[0].identity, plant.clocks.now)
    with pytest.raises(Unauthorised, match="future"):
        plant.guard.check(ME, "accelerator", safe=False)
    plant.clocks.wall += 7 * 86400.0 - 1800.0
    plant.guard.check(ME, "accelerator", safe=False)
    plant.clocks.steady += 1801.0
    with pytest.raises(Unauthorised, match="expired"):
        plant.guard.check(ME, "accelerator", safe=False)
    assert plant.guard.user(ME) == "" and plant.guard.sessions() == []
    plant.guard.check(ME, "accelerator", safe=True)


@pytest.mark.requirement("SYS-ACCESS")
def test_the_ois_cannot_vouch_for_a_local_user_nor_the_machine_for_another(plant: Plant) -> None:
    with pytest.raises(Unauthorised, match="no local log-in"):
        plant.guard.open(ME, plant.ois_token("break-glass:anna", "operator"))
    key = authority.load_private(plant.state.machine_key)
    for user, roles, hours in (
        ("otto", {"operator"}, 0.1),
        ("break-glass:x", {"physician"}, 0.1),
        ("break-glass:x", {"operator"}, 9.0),
    ):
        token = authority.issue(key, user, frozenset(roles), plant.clocks.now, timedelta(hours=hours))
        with pytest.raises(Unauthorised, match="not accepted"):
            plant.guard.open(ME, token)
    with pytest.raises(ValueError, match="local token"):
        authority.issue_local(key, "x", frozenset({"operator"}), plant.clocks.now, timedelta(hours=1))
