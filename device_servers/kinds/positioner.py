"""What has axes: motion as a job, refused outside limits, and under beam where a patient is near."""

import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from tango import DevState
from tango.server import command

from common.errors import LinkLost, Refused
from common.text import _
from device_servers.base import JobDevice, rule
from device_servers.channel import channel, fault_channel

SETTLE_S = 0.05
START_S = 1.0
"""A motion that shows no movement and no arrival for this long has not begun."""


class Positioner(JobDevice):
    """Axes that move together."""

    axes: ClassVar[Mapping[str, tuple[str, float]]] = {}
    """Axis -> (unit, how near to its target it has arrived)."""
    beam_forbids: ClassVar[bool] = True
    """Whether it must rest while there is beam; its driver is then a BeamWatch too."""

    Moving = channel("moving", dtype=bool, doc="whether an axis moves")
    FaultCode = fault_channel()

    def _state(self) -> tuple[DevState, str]:
        if (fault := self.fault_state()) is not None:
            return fault
        if self.value("moving") > 0 or self.jobs.busy:
            return DevState.MOVING, _("moving")
        if self._disabled:
            return DevState.DISABLE, _("motion is not enabled; press Enable at the pendant")
        return DevState.ON, _("at rest")

    def move_job(self, target: Mapping[str, float]) -> str:
        """Check a target and queue the motion; the job id. Raises Refused."""
        for axis, value in target.items():
            if axis not in self.axes:
                text = _("no axis {axis!r}: allowed are {axes}")
                raise Refused(text.format(axis=axis, axes=", ".join(self.axes)))
            self.check_limits(axis, value, self.axes[axis][0])
        if not target:
            raise Refused(_("no axis given: allowed are {axes}").format(axes=", ".join(self.axes)))
        self._check_may_move()
        return self.start_job(lambda cancel: self._move(dict(target), cancel))

    @rule(safe=True)
    @command
    def Stop(self) -> None:
        """Stop every axis and end the motion job."""
        self.jobs.cancel()
        self.driver.stop()

    @property
    def _disabled(self) -> bool:
        return "enabled" in self.driver.quantities and self.value("enabled") == 0

    def _check_may_move(self) -> None:
        if self.beam_forbids:
            beam = self.driver.beam_now()
            if beam is None:
                raise Refused(_("beam state is unknown; motion waits until the beam hardware answers"))
            if beam:
                raise Refused(_("the beam is on; interrupt it first"))
        if self.value("fault") > 0:
            raise Refused(_("axis has a fault; mend it first"))
        if self._disabled:
            raise Refused(_("motion is not enabled; press Enable at the pendant"))

    def _move(self, target: dict[str, float], cancel: threading.Event) -> None:
        """Move and wait until every axis has arrived and rests. Raises Refused, LinkLost."""
        self._check_may_move()
        self.driver.move(target)
        still_since = time.monotonic()
        while not cancel.wait(SETTLE_S):
            if not self.driver.up:
                raise LinkLost(_("link to the motion control was lost; position is unknown"))
            if self.beam_forbids and self.driver.beam():
                self.driver.stop()
                raise Refused(_("the beam came on during motion; motion stopped"))
            if self.value("fault") > 0:
                raise Refused(_("motion ended by a fault: {fault}").format(fault=self.fault_name()))
            if self.value("moving") > 0:
                still_since = time.monotonic()
            elif self._arrived(target):
                return
            elif time.monotonic() - still_since > START_S:
                raise Refused(_("motion ended before its target; look at enable and limits"))

    def _arrived(self, target: Mapping[str, float]) -> bool:
        return all(abs(self.value(axis) - wanted) <= self.axes[axis][1] for axis, wanted in target.items())


def axis_channel(axis: str, unit: str, **options: Any) -> channel:
    """Attribute of one axis."""
    shown = {"format": "%8.2f", "deadband": 0.01, "doc": f"position of axis {axis}", **options}
    return channel(axis, unit=unit, **shown)
