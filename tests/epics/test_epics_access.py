"""Log-ins through EPICS that are over, ended, forged or of another site put nothing, and are recorded."""

import os
import pwd
import socket

import pytest

from common.hashchain import entries
from device_servers.services.epics.puts import peer_of
from tests.epics.epics_room import ROOT, EpicsRoom

DIPOLE = "PTCS:acs/magnet/ring-dipole"
TOKENS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from datetime import UTC, datetime, timedelta
from pathlib import Path
from common import authority
ours = authority.load_private(Path("KEY"))
theirs = authority.Ed25519PrivateKey.generate()
def token(lifetime_s, key=ours):
    life = timedelta(seconds=lifetime_s)
    return authority.issue(key, "otto", frozenset(["operator"]), datetime.now(UTC), life)
put, login = "{DIPOLE}:CurrentSetpoint", "PTCS:gateway:Login"
"""


@pytest.mark.requirement("SYS-ACCESS")
def test_a_token_of_another_site_or_that_is_over_puts_nothing(epics_room: EpicsRoom) -> None:
    begun = TOKENS.replace("KEY", str(epics_room.state / "keys" / "ois_signing.pem"))
    code = f"""{begun}
say(refused(login, ""))
before = ctx.get(put)["value"]
say(refused(login, token(60, theirs)))
say(refused(login, token(-1)))
say(refused(put, before + 1.0))
say(refused(login, token(6)))
wait(lambda: "expired" in refused(put, before))
say(refused(put, before + 2.0))
say(ctx.get(put)["value"] == before)
say(refused(login, ""))
"""
    said = epics_room.client(code)
    assert said[0] == "" and "not accepted" in said[1] and "expired" in said[2]
    assert "not logged in" in said[3] and said[4] == ""
    assert "expired" in said[5] and said[6] is True and said[7] == ""
    gateway = [row for row in entries(epics_room.state / "audit" / "gateway.log") if row["why"]]
    assert {("", "Login"), ("", "CurrentSetpoint")} <= {(row["user"], row["what"]) for row in gateway}
    server = entries(epics_room.state / "audit" / "accelerator.log")
    late = [row for row in server if row["outcome"] == "refused" and "expired" in row["why"]]
    assert late and late[-1]["user"] == "otto" and late[-1]["by"].startswith("epics peer")
    assert float(late[-1]["value"]) == pytest.approx(float(late[0]["value"]) + 2.0)


@pytest.mark.requirement("SYS-ACCESS")
def test_an_account_that_a_client_only_says_is_not_that_account() -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as served:
            far = client.getsockname()
            assert peer_of(me, far, port) == (me, "127.0.0.1")
            assert peer_of("otto", far, port) == (f"otto (really {me})", "127.0.0.1")
            client.close()
            assert peer_of(me, far, port)[0] == f"{me} (really unknown)"
            served.close()
    assert peer_of("otto", ("10.0.0.7", 4000), port) == ("otto", "10.0.0.7")
