"""BeamCatalogue: the virtual accelerators of the site, and which one the machine cycles are for."""

import json
from typing import Any

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.channel import derived
from device_servers.parse import json_object
from timing.catalogue import VirtualAccelerator, of_site, settings
from timing.plan import TimingPlan, load, locate

ENTRY = 'JSON {"ion", "energy" (MeV per nucleon), "intensity", "room"}; what has one value may be left out'


class BeamCatalogue(PtcsDevice):
    """Settings per ion, energy, intensity and room, from `config/SITE/beams.yaml`."""

    def init_device(self) -> None:
        """Read the catalogue; nothing is selected yet."""
        super().init_device()
        self._catalogue = of_site(self.context.site)
        self._selected: VirtualAccelerator | None = None

    @derived(dtype=str)
    def CatalogueId(self) -> str:
        """Name, version and digest of the catalogue in force."""
        return self._catalogue.id

    @derived(dtype=int, unit="1", format="%d")
    def Count(self) -> int:
        """How many virtual accelerators it has."""
        return self._catalogue.count

    @derived(dtype=str)
    def Offers(self) -> str:
        """JSON: energies of each ion (MeV per nucleon), intensities (relative), rooms."""
        catalogue = self._catalogue
        offers = {
            "energies": {ion: list(energies) for ion, energies in catalogue.energies.items()},
            "intensities": dict(catalogue.intensities),
            "rooms": list(catalogue.rooms),
        }
        return json.dumps(offers)

    @derived(dtype=str)
    def Selected(self) -> str:
        """The virtual accelerator selected last by this device; empty for none."""
        return self._selected.id if self._selected else ""

    @derived(dtype=str)
    def Settings(self) -> str:
        """JSON: the selected entry, current of each supply (A), program of the sequencers; "{}" for none."""
        return json.dumps(self._entry(self._selected)) if self._selected else "{}"

    @rule(read=True)
    @command(dtype_in=str, doc_in=ENTRY, dtype_out=str, doc_out="JSON: the entry")
    def Show(self, text: str) -> str:
        """An entry with its settings and its program, without selecting it."""
        return json.dumps(self._entry(self._catalogue.select(json_object(text))))

    @command(dtype_in=str, doc_in=ENTRY, dtype_out=str, doc_out="JSON: the entry")
    def Select(self, text: str) -> str:
        """Have the machine cycles for an entry: its program in the sequencers, its name in their messages.

        Refused while beam is under way. Energies of a delivery are those of its cycles (LoadCycles).
        """
        accelerator = self._catalogue.select(json_object(text))
        entry = self._entry(accelerator)
        for number, sequence in entry["program"].items():
            self.driver.load({"sequencer": int(number), **sequence})
        beam = {"ion": accelerator.ion, "intensity": accelerator.intensity, "room": accelerator.room}
        self.driver.load({"beam": beam})
        self._selected = accelerator
        self.refresh()
        return json.dumps(entry)

    def _entry(self, accelerator: VirtualAccelerator) -> dict[str, Any]:
        plan = self._plan(accelerator.ion)
        return {
            "id": accelerator.id,
            "catalogue": self._catalogue.id,
            "ion": accelerator.ion,
            "energy": accelerator.energy,
            "waveform": accelerator.waveform,
            "sync_word": plan.dialect.to_words(plan.up.events(0), accelerator.waveform)[0][1],
            "intensity": accelerator.relative,
            "room": accelerator.room,
            "rigidity_tm": accelerator.rigidity,
            "settings": settings(accelerator, self.context.site.devices),
            "program": {"1": plan.up.as_body(), "2": plan.down.as_body()},
        }

    def _plan(self, ion: str) -> TimingPlan:
        site = self.context.site
        return load(locate(site.path.parent, site.name, "timing.yaml"), self._catalogue.cycle_s[ion])

    def _state(self) -> tuple[DevState, str]:
        if self._selected is None:
            text = _("{count} virtual accelerators; none selected yet")
            return DevState.ON, text.format(count=self._catalogue.count)
        return DevState.ON, _("selected: {name}").format(name=self._selected.id)
