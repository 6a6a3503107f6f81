"""RadiationMonitor: the ambient dose rate in a room."""

import math

from tango import DevState

from common.text import _
from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class RadiationMonitor(Monitored):
    """An area monitor; ALARM above its site's level."""

    Rate = channel("rate", unit="uSv/h", format="%8.3f", deadband=0.005, relative=0.05, doc="dose rate")

    def _state(self) -> tuple[DevState, str]:
        state, text = super()._state()
        if state != DevState.ON:
            return state, text
        rate, level = self.value("rate"), float(self.site.plant.get("alarm", math.inf))
        if not math.isfinite(rate):
            return DevState.UNKNOWN, _("{quantity} is unknown").format(quantity="rate")
        if rate > level:
            return DevState.ALARM, _("{rate:g} uSv/h, the alarm is at {level:g}").format(
                rate=rate, level=level
            )
        return DevState.ON, text
