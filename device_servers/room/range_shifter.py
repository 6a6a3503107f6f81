"""RangeShifter: a slab that is moved into the beam to shorten its range."""

from device_servers.kinds.in_out import Insertable


class RangeShifter(Insertable):
    """A range shifter."""
