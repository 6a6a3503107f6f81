"""StripperFoil: the wheel of foils that strips the injected ions of their electrons."""

from tango import DevState
from tango.server import command

from common.errors import Refused
from common.text import _
from device_servers.channel import channel
from device_servers.kinds.monitored import Monitored


class StripperFoil(Monitored):
    """A wheel of foils, numbered from 1."""

    Foil = channel("position", dtype=int, format="%d", doc="number of the foil in the beam; 0 while it turns")
    Used = channel("used", unit="mAh", format="%8.3f", deadband=0.001, doc="charge through the present foil")

    def _state(self) -> tuple[DevState, str]:
        state, text = super()._state()
        if state == DevState.ON:
            foil = self.value("position")
            if not foil >= 1 or foil != int(foil):
                return DevState.MOVING, _("moving")
            return state, _("foil {foil:.0f} in the beam").format(foil=foil)
        return state, text

    @command(dtype_in=int, doc_in="number of the foil, from 1")
    def Select(self, index: int) -> None:
        """Begin to turn a foil into the beam."""
        foils = int(self.site.plant.get("foils", 1))
        if not 1 <= index <= foils:
            raise Refused(_("no foil {index}: allowed are 1 .. {foils}").format(index=index, foils=foils))
        self.driver.set("position", float(index))
