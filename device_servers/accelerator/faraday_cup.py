"""FaradayCup: inserted it stops the beam and measures its current."""

from device_servers.channel import channel
from device_servers.kinds.in_out import Insertable


class FaradayCup(Insertable):
    """A Faraday cup."""

    Current = channel(
        "current", unit="nA", format="%9.3f", deadband=0.005, relative=0.005, doc="beam current"
    )
