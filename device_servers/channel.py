"""Attributes that push themselves: `channel` shows a number of the driver, `derived` a computed value."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tango
from tango.server import attribute

EMPTY: dict[type, Any] = {float: 0.0, int: 0, bool: False, str: ""}


class channel(attribute):  # noqa: N801 - reads as the decorator it is, like tango's own
    """A scalar attribute that shows one quantity of the device's driver.

    `deadband` is the smallest change that is pushed, in the attribute's unit; `relative` the same as a
    share of the value. `names` turns a number into a word (dtype str). `limit` names the site's limits
    that are its minimum and maximum (the quantity's own unless told).
    """

    def __init__(
        self,
        quantity: str = "",
        *,
        dtype: type = float,
        deadband: float = 0.0,
        relative: float = 0.0,
        names: Sequence[str] = (),
        limit: str = "",
        **options: Any,
    ) -> None:
        self.quantity, self.names = quantity, tuple(names)
        self.limit = limit or quantity
        self.deadband, self.relative = deadband, relative
        self.shown_as = dtype

        def read(device: Any) -> tuple[Any, float, Any]:
            return device.shown(self)

        super().__init__(fget=read, dtype=dtype, **options)

    def shown(self, value: float) -> Any:
        """A finite number as the attribute's type."""
        if self.names:
            index = int(value)
            return self.names[index] if 0 <= index < len(self.names) else str(index)
        return self.shown_as(value)

    @property
    def empty(self) -> Any:
        """What stands in for a value of quality INVALID."""
        return EMPTY[self.shown_as]


class derived(attribute):  # noqa: N801 - used as a decorator
    """An attribute computed by its method; `refresh()` pushes it when the value has changed.

    The method returns the value, or None while it is unknown (quality INVALID). A number within
    `deadband` of what was pushed last is not pushed.
    """

    def __init__(
        self, fget: Callable[[Any], Any] | None = None, *, deadband: float = 0.0, **options: Any
    ) -> None:
        self.compute = fget
        self.deadband = deadband
        if fget is not None:
            options.setdefault("doc", fget.__doc__ or "")
        super().__init__(fget=None if fget is None else self._timed, **options)

    def __call__(self, fget: Callable[[Any], Any]) -> "derived":
        """Decorate a method; the library makes a new object then."""
        made: derived = super().__call__(fget)
        made.deadband = self.deadband
        return made

    def _timed(self, device: Any) -> tuple[Any, float, Any]:
        assert self.compute is not None
        value = self.compute(device)
        if value is None:
            return self.empty, time.time(), tango.AttrQuality.ATTR_INVALID
        return value, time.time(), tango.AttrQuality.ATTR_VALID

    def same(self, before: Any, value: Any) -> bool:
        """Whether a value is near enough to what was pushed last to be left out."""
        if self.deadband:
            return bool(abs(value - before) <= self.deadband)
        return bool(np.array_equal(before, value))

    @property
    def empty(self) -> Any:
        """What stands in for a value of quality INVALID."""
        kind = self._kwargs["dtype"]
        return [] if isinstance(kind, tuple | list) else EMPTY[kind]


def fault_channel() -> channel:
    """The attribute FaultCode."""
    return channel("fault", dtype=int, format="%d", doc="0: none; see Status for the fault's name")
