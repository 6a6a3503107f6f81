"""RespirationMonitor: the patient's breathing, and the gate made from it."""

from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class RespirationMonitor(Monitored):
    """A respiration monitor."""

    Amplitude = channel(
        "amplitude", unit="mm", format="%7.2f", deadband=0.05, doc="displacement of the chest"
    )
    Phase = channel("phase", unit="deg", format="%6.1f", deadband=1.0, doc="0 end of exhaling .. 360")
    Gate = channel("gate", dtype=bool, doc="whether the beam may come in this part of the breath")
