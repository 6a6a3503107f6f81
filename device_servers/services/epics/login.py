"""Logging in at the EPICS gateway of a facility, as the account of this process."""

from pathlib import Path

from p4p.client.thread import Context, RemoteError

from common.errors import LinkLost, Unauthorised
from common.state import StateDir
from common.text import _
from device_servers.services.epics.puts import LOGIN
from device_servers.services.epics.pv import OF_GATEWAY, pv_name

TIMEOUT_S = 10.0


def log_in(state: Path | str, token: str) -> None:
    """Have puts of this account and host written as the user of a token; an empty one logs out.

    Raises Unauthorised for a token that is not accepted, LinkLost when the gateway does not answer.
    """
    environment = StateDir(Path(state)).endpoint("epics")["pva_env"]
    with Context("pva", conf=environment, useenv=False) as client:
        try:
            client.put(pv_name(OF_GATEWAY, LOGIN), token, timeout=TIMEOUT_S)
        except RemoteError as why:
            raise Unauthorised(str(why)) from why
        except TimeoutError as why:
            raise LinkLost(_("the EPICS gateway does not answer; is the facility up?")) from why
