"""WriteAs: a gateway passes on a write, the user's own token decides."""

import json
import threading
from typing import Any

import pytest
import tango
from conftest import SERVER, FakeFacility, refusal

from common import hashchain

MAGNET = "acs/magnet/ring-dipole"
BY = "epics peer otto@127.0.0.1"


def write_as(facility: FakeFacility, token: str, **wish: Any) -> Any:
    crate = facility.proxy(f"crate/server/{SERVER}")
    wish = {"token": token, "device": MAGNET, "by": BY, **wish}
    return json.loads(crate.WriteAs(json.dumps(wish)))


@pytest.mark.requirement("ACS-EPICS")
def test_a_token_writes_and_the_log_names_user_and_peer(facility: FakeFacility) -> None:
    token = facility.token("otto", "operator")
    assert write_as(facility, token, command="On") is None
    write_as(facility, token, attribute="CurrentSetpoint", value=123.5)
    assert facility.proxy(MAGNET).CurrentSetpoint == 123.5
    entry = hashchain.entries(facility.state / "audit" / f"{SERVER}.log")[-1]
    assert (entry["user"], entry["by"], entry["what"], entry["value"]) == (
        "otto",
        BY,
        "CurrentSetpoint",
        "123.5",
    )
    refusal(facility.proxy(MAGNET).Off)  # the gateway's process itself holds no session


@pytest.mark.requirement("ACS-EPICS")
@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"attribute": "CurrentSetpoint", "value": float("nan")}, "finite"),
        ({"attribute": "CurrentSetpoint", "value": "much"}, ""),
        ({"attribute": "CurrentSetpoint", "value": 1e6}, ""),
        ({"attribute": "Current", "value": 1.0}, ""),
        ({"attribute": "Charm", "value": 1.0}, ""),
        ({"attribute": "AdminMode", "value": 7}, ""),
        ({"command": "Init"}, "no command"),
        ({"command": "State"}, "no command"),
        ({"command": "delete_device"}, "no command"),
        ({"device": "acs/magnet/none", "command": "On"}, "no device"),
        ({"device": f"crate/server/{SERVER}", "command": "CloseSession"}, "no device"),
        ({"token": "forged", "command": "Off"}, "log in"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_written(
    facility: FakeFacility, wish: dict[str, Any], why: str
) -> None:
    facility.tell(f"drivers[{MAGNET!r}].values.update(on=1.0, setpoint=50.0)")
    token = str(wish.pop("token", facility.token("otto", "operator")))
    with pytest.raises(tango.DevFailed) as caught:
        write_as(facility, token, **wish)
    assert why in caught.value.args[0].desc
    magnet = facility.proxy(MAGNET)
    assert magnet.CurrentSetpoint == 50.0 and magnet.AdminMode == 0


@pytest.mark.requirement("ACS-EPICS")
def test_role_and_expiry_decide_as_for_every_client(facility: FakeFacility) -> None:
    with pytest.raises(tango.DevFailed, match="may not write in area accelerator"):
        write_as(facility, facility.token("thea", "therapist"), command="On")
    with pytest.raises(tango.DevFailed, match="expired"):
        write_as(facility, facility.token("otto", "operator", lifetime_s=-1.0), command="On")


@pytest.mark.requirement("ACS-EPICS")
def test_writes_passed_on_do_not_lend_their_user_to_others(facility: FakeFacility) -> None:
    """Other clients call the same device meanwhile: they stay without a session, and nothing locks up."""
    token, lent, ends = facility.token("otto", "operator"), [], threading.Event()

    def intrude() -> None:
        with tango.EnsureOmniThread():
            magnet = facility.proxy(MAGNET)
            while not ends.is_set():
                try:
                    magnet.Off()
                    lent.append("Off")
                except tango.DevFailed:
                    pass

    intruders = [threading.Thread(target=intrude) for _ in range(2)]
    for intruder in intruders:
        intruder.start()
    for number in range(100):
        write_as(facility, token, attribute="CurrentSetpoint", value=float(number))
    ends.set()
    for intruder in intruders:
        intruder.join()
    assert not lent and facility.proxy(MAGNET).CurrentSetpoint == 99.0
