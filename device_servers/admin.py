"""AdminMode and HealthState: attributes of their own beside State, on every device.

AdminMode says what people do with a device and is kept over a restart of its server. HealthState is
for the roll-up: what State means for whoever needs the device.
"""

from typing import Any

from tango import DevState
from tango.server import attribute

from common.errors import BadInput, Refused, Unauthorised
from common.text import _
from device_servers.access import GuardedDevice, Rule
from device_servers.modes import Admin, Health

HEALTH_OF = {
    DevState.FAULT: Health.FAILED,
    DevState.ALARM: Health.DEGRADED,
    DevState.UNKNOWN: Health.UNKNOWN,
    DevState.INIT: Health.UNKNOWN,
}
"""States that are not OK."""

MAY_ADMINISTER = frozenset({"operator", "service"})


class AdministeredDevice(GuardedDevice):
    """A device with AdminMode and HealthState; writes depend on AdminMode."""

    health = Health.UNKNOWN
    """As of the last look at State."""

    def guarded(self, what: str, terms: Rule, act: Any, values: tuple[Any, ...]) -> Any:
        """As the base does it, behind AdminMode. Raises only DevFailed."""
        if terms.read or terms.safe or what in ("AdminMode", "Init"):
            return super().guarded(what, terms, act, values)

        def admitted(*arguments: Any) -> Any:
            self.check_admin(self.roles)
            return act(*arguments)

        return super().guarded(what, terms, admitted, values)

    @property
    def admin(self) -> Admin:
        """The present AdminMode."""
        return self.context.admin_modes.get(self.site.name)

    def check_admin(self, roles: frozenset[str]) -> None:
        """Raise Refused or Unauthorised when AdminMode forbids a write by somebody of these roles."""
        mode = self.admin
        if mode is Admin.NOT_FITTED:
            raise Refused(_("device is not fitted; set AdminMode to ONLINE or MAINTENANCE first"))
        if mode is Admin.MAINTENANCE and "service" not in roles:
            raise Unauthorised(_("device is in maintenance: allowed is service; or set AdminMode to ONLINE"))

    @property
    def roles(self) -> frozenset[str]:
        """Roles of the caller of the call in progress."""
        return frozenset() if self.caller is None else self.caller.identity.roles

    def _set_admin(self, value: int) -> None:
        if not self.roles & MAY_ADMINISTER:
            raise Unauthorised(_("AdminMode is for operator and service; ask one of them"))
        try:
            mode = Admin(value)
        except ValueError as why:
            raise BadInput(_("no AdminMode {value}: allowed are 0, 1, 2").format(value=value)) from why
        self.context.admin_modes.set(self.site.name, mode)

    AdminMode = attribute(
        dtype=Admin,
        fget=lambda device: device.admin,
        fset=_set_admin,
        doc="ONLINE, MAINTENANCE (only service may write) or NOT_FITTED; kept over a restart",
    )
    HealthState = attribute(
        dtype=Health,
        fget=lambda device: device.health_now(),
        doc="what State means for whoever needs the device",
    )

    def health_of(self, state: DevState) -> Health:
        """HealthState for a State."""
        return HEALTH_OF.get(state, Health.OK)

    def health_now(self) -> Health:
        """HealthState for the present State."""
        return self.health_of(self.dev_state())
