"""SectorValve: a valve between two vacuum sections."""

from device_servers.kinds.in_out import Valve


class SectorValve(Valve):
    """A sector valve."""
