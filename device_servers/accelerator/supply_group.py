"""SupplyGroup: one handle for several supplies of its server."""

from collections.abc import Callable
from threading import Event
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import BadConfig, PtcsError, Refused
from common.text import _
from device_servers.base import JobDevice
from device_servers.kinds.supply import Supply

WORST_FIRST = (
    DevState.FAULT,
    DevState.UNKNOWN,
    DevState.INIT,
    DevState.ALARM,
    DevState.MOVING,
    DevState.OFF,
    DevState.ON,
)


class SupplyGroup(JobDevice):
    """On, Off, Reset and SetRelative on every member, as one job that names each failure."""

    def init_device(self) -> None:
        """Find the members. Raises BadConfig for one that is not on this server."""
        super().init_device()
        here = {device.name for device in self.context.site.on_server(self.context.server)}
        self._members = tuple(self.site.plant.get("members", ()))
        if strange := sorted(set(self._members) - here):
            raise BadConfig(f"{self.site.name}: not on server {self.context.server}: {', '.join(strange)}")
        for name in self._members:
            self.context.followers.setdefault(name, set()).add(self.site.name)

    def _state(self) -> tuple[DevState, str]:
        states = [(device.state_now()[0], device.site.name) for device in self._present()]
        if not states:
            return DevState.UNKNOWN, _("no member is there yet")
        worst = min((state for state, _name in states), key=_rank)
        named = [name for state, name in states if state == worst]
        text = _("{state}: {count} of {all} ({names})")
        shown = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
        return worst, text.format(state=worst, count=len(named), all=len(states), names=shown)

    def _present(self) -> list[Supply]:
        devices = self.context.devices
        return [devices[name] for name in self._members if name in devices]

    def _each(self, what: str, act: Callable[[Supply], None]) -> str:
        """Queue `act` on every member; the job id. Raises Unauthorised, Refused when the caller may not."""
        members, client = self._present(), self.client
        for member in members:
            self.context.guard.check(client, member.site.area, safe=False)
            member.check_admin(self.roles)

        def work(stop: Event) -> None:
            failures = []
            for member in members:
                if stop.is_set():
                    return
                try:
                    act(member)
                    why = ""
                except PtcsError as error:
                    why = str(error)
                    failures.append(f"{member.site.name}: {why}")
                self.context.guard.record(client, member.site.name, what, self.site.name, why)
            if failures:
                text = _("{count} of {all} failed: {failures}")
                raise Refused(
                    text.format(count=len(failures), all=len(members), failures="; ".join(failures))
                )

        return self.start_job(work)

    @command(dtype_out=str, doc_out="job id")
    def On(self) -> str:
        """Switch every member on."""
        return self._each("On", lambda member: member.switch_on())

    @command(dtype_out=str, doc_out="job id")
    def Off(self) -> str:
        """Switch every member off."""
        return self._each("Off", lambda member: member.driver.off())

    @command(dtype_out=str, doc_out="job id")
    def Reset(self) -> str:
        """Clear the fault of every member whose cause is gone."""
        return self._each("Reset", lambda member: member.driver.reset())

    @command(dtype_in=float, doc_in="factor on each member's set value", dtype_out=str, doc_out="job id")
    def SetRelative(self, factor: float) -> str:
        """Multiply every member's set value; nothing is set unless all new values are within limits."""
        wanted = {member: factor * member.value("setpoint") for member in self._present()}
        for member, value in wanted.items():
            try:
                member.check_limits(member.quantity, value, member.unit)
            except Refused as why:
                raise Refused(f"{member.site.name}: {why}") from why
        return self._each(f"SetRelative {factor:g}", lambda member: member.set_value(wanted[member]))


def _rank(state: Any) -> int:
    return WORST_FIRST.index(state) if state in WORST_FIRST else len(WORST_FIRST)
