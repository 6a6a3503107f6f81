"""EnvironmentStation: temperature and pressure of the room air, for the vented monitor chambers."""

from device_servers.base import PtcsDevice
from device_servers.channel import channel


class EnvironmentStation(PtcsDevice):
    """A temperature and pressure station."""

    Temperature = channel("temperature", unit="degC", format="%5.2f", deadband=0.01, doc="air temperature")
    AirPressure = channel("pressure", unit="hPa", format="%7.2f", deadband=0.05, doc="air pressure")
