"""Wire drivers of everything that stands behind the plant's frames."""

from collections.abc import Mapping, Sequence

import numpy as np

from device_servers.drivers.link import FrameLink
from device_servers.drivers.protocols import BeamWatch, Floats
from device_servers.drivers.view import FrameView


class PlantDevice(FrameView):
    """One device of the plant; implements every Protocol that asks for verbs of its own only."""

    def __init__(self, link: FrameLink, wire: str, quantities: Sequence[str]) -> None:
        """`wire`: the device's address; its channels are `WIRE.QUANTITY`."""
        super().__init__(link, {quantity: f"{wire}.{quantity}" for quantity in quantities})
        self._wire = wire

    def set(self, name: str, value: float) -> None:
        """Set a value by its quantity."""
        self.link.request("set", {"device": self._wire, "name": name, "value": value})

    def on(self) -> None:
        """Switch the output on."""
        self._do("on")

    def off(self) -> None:
        """Switch the output off."""
        self._do("off")

    def reset(self) -> None:
        """Clear a fault whose cause is gone."""
        self._do("reset")

    def open(self) -> None:
        """Begin to open."""
        self._do("open")

    def close(self) -> None:
        """Begin to close."""
        self._do("close")

    def insert(self) -> None:
        """Begin to move into the beam."""
        self._do("insert")

    def retract(self) -> None:
        """Begin to move out of the beam."""
        self._do("retract")

    def move(self, target: Mapping[str, float]) -> None:
        """Begin to move axes to positions (mm, deg)."""
        self.link.request("move", {"device": self._wire, "target": dict(target)})

    def stop(self) -> None:
        """Stop all axes."""
        self._do("stop")

    def load_waveform(self, points: Floats) -> None:
        """Follow rows (n, 2) of time s from 0 and current A from now on."""
        times, currents = np.ascontiguousarray(points.T, dtype=np.float64)
        self.link.request("waveform", {"device": self._wire}, {"t": times, "i": currents})

    def waveform(self) -> Floats:
        """The rows (n, 2) loaded last."""
        held = self.link.request("waveform", {"device": self._wire}).arrays
        return np.column_stack((held["t"], held["i"]))

    def profile(self) -> tuple[Floats, Floats]:
        """Charge of each wire of the x and of the y plane, (64,) each."""
        held = self.link.request("profile", {"device": self._wire}).arrays
        return held["x"], held["y"]

    def zero(self) -> None:
        """Forget the charge collected so far."""
        self._do("zero")

    def layers(self) -> tuple[Floats, Floats]:
        """Depth in mm of water, and charge in nC since `zero`, of each layer, (n,) each."""
        held = self.link.request("layers", {"device": self._wire}).arrays
        return held["depth"], held["charge"]

    def _do(self, verb: str) -> None:
        self.link.request(verb, {"device": self._wire})


class PlantPositioner(PlantDevice):
    """Couch, gantry or snout; implements Positioner."""

    def __init__(self, link: FrameLink, watch: BeamWatch, wire: str, quantities: Sequence[str]) -> None:
        """`watch`: what forbids motion."""
        super().__init__(link, wire, quantities)
        self._watch = watch

    def beam(self) -> bool | None:
        """Whether there is beam, as of the last snapshot; None when unknown."""
        return self._watch.beam()

    def beam_now(self) -> bool | None:
        """Whether there is beam, asked now; None when unknown."""
        return self._watch.beam_now()
