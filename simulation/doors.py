"""Who may use the ports of simulated hardware: programs of the user it runs as, on the same computer.

Field equipment knows no log-ins, and neither Modbus nor an instrument's lines could carry one. On a shared
computer the kernel tells whose program is at the other end; that is asked once, when it connects.
"""

import asyncio
import logging

from common.links.socket_owner import accepted

log = logging.getLogger(__name__)


def admitted(writer: asyncio.StreamWriter, port: str) -> bool:
    """Whether a new client may stay; one that may not is disconnected before a byte of it is read.

    port: what the port is for, for the log.
    """
    if accepted(writer.get_extra_info("socket")):
        return True
    peer = writer.get_extra_info("peername")
    log.warning("%s: client at %s is a program of another user; disconnected", port, peer)
    writer.transport.abort()
    return False
