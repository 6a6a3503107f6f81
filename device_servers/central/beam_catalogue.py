"""BeamCatalogue: the virtual accelerators of the site, their versions, and which one is selected."""

import json
from typing import Any

from tango import DevState
from tango.server import command

from common.errors import PtcsError, Refused
from common.site import Device
from common.text import Saying, _, saying
from device_servers.base import PtcsDevice, rule
from device_servers.central.catalogue_book import CatalogueBook
from device_servers.channel import derived
from device_servers.guard import Session
from device_servers.logbook_post import Poster
from device_servers.parse import json_object
from timing.catalogue import VirtualAccelerator, of_site, settings
from timing.catalogue_versions import Act, Version, differences
from timing.plan import TimingPlan, load, locate

ENTRY = 'JSON {"ion", "energy" (MeV per nucleon), "intensity", "room"}; what has one value may be left out'
ACT = 'JSON of an entry with {"number": version, "why"}'
KEYS = ("ion", "energy", "intensity", "room")
MOST = 4096


class CatalogueDisplay(PtcsDevice):
    """What the catalogue offers, and the versions of its entries."""

    def init_device(self) -> None:
        """Read the catalogue and its versions; nothing is selected yet."""
        super().init_device()
        self._catalogue = of_site(self.context.site)
        self._book = CatalogueBook(self.context.state / "catalogue")
        self._post = Poster(self.context.site, "catalogue")
        self._selected: VirtualAccelerator | None = None
        self._chosen = 0

    def delete_device(self) -> None:
        """Close the log of versions."""
        super().delete_device()
        self._post.close()
        self._book.close()

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

    @derived(dtype=int, unit="1", format="%d")
    def SelectedVersion(self) -> int:
        """Version of the entry as it was when it was selected; 0 for the base."""
        return self._chosen

    @derived(dtype=str)
    def Settings(self) -> str:
        """JSON: the selected entry, current of each supply (A), program of the sequencers; "{}" for none."""
        return json.dumps(self._entry(self._selected)) if self._selected else "{}"

    @derived(dtype=(str,), max_dim_x=MOST)
    def Waiting(self) -> list[str]:
        """Proposals that wait for an approval, as ENTRY VERSION."""
        return [f"{version.entry} {version.number}" for version in self._book.versions.waiting()][:MOST]

    @rule(read=True)
    @command(dtype_in=str, doc_in=ENTRY, dtype_out=str, doc_out="JSON: the entry")
    def Show(self, text: str) -> str:
        """An entry with its settings and its program, without selecting it."""
        return json.dumps(self._entry(self._catalogue.select(json_object(text))))

    @rule(read=True)
    @command(dtype_in=str, doc_in=ENTRY, dtype_out=str, doc_out="JSON: versions, oldest first")
    def Versions(self, text: str) -> str:
        """The versions of an entry with their history; the base is not among them."""
        entry = self._catalogue.select(json_object(text)).id
        return json.dumps([version.row() for version in self._book.versions.of(entry)])

    @rule(read=True)
    @command(dtype_in=str, doc_in='JSON of an entry with {"number"}', dtype_out=str)
    def Compare(self, text: str) -> str:
        """JSON: supplies in which a version differs from what is in force, farthest first."""
        wish = json_object(text)
        accelerator = self._accelerator(wish)
        number = wish.get("number")
        wanted = (
            self._base(accelerator)
            if number == 0
            else self._book.versions.get(accelerator.id, number).settings
        )
        return json.dumps(differences(self._currents(accelerator), wanted))

    @rule(read=True)
    @command(dtype_out=str)
    def AllVersions(self) -> str:
        """JSON: catalogue id, and every version of every entry."""
        found = self._book.versions.entries
        rows = {entry: [version.row() for version in versions] for entry, versions in found.items()}
        return json.dumps({"catalogue": self._catalogue.id, "entries": rows})

    # --- Inner

    def _accelerator(self, wish: dict[str, Any]) -> VirtualAccelerator:
        """The entry that a wish names, whatever else it says. Raises BadInput."""
        return self._catalogue.select({key: wish[key] for key in KEYS if key in wish})

    def _base(self, accelerator: VirtualAccelerator) -> dict[str, float]:
        return settings(accelerator, self.context.site.devices)

    def _version(self, accelerator: VirtualAccelerator) -> Version | None:
        self._book.require_sound()
        return self._book.versions.in_force(accelerator.id)

    def _currents(self, accelerator: VirtualAccelerator) -> dict[str, float]:
        """Current of each supply in the version in force, A. Raises Refused with a log that was altered."""
        version = self._version(accelerator)
        base = self._base(accelerator)
        return base if version is None else {name: version.settings.get(name, base[name]) for name in base}

    def _entry(self, accelerator: VirtualAccelerator) -> dict[str, Any]:
        plan = self._plan(accelerator.ion)
        version = self._version(accelerator)
        return {
            "id": accelerator.id,
            "catalogue": self._catalogue.id,
            "version": 0 if version is None else version.number,
            "ion": accelerator.ion,
            "energy": accelerator.energy,
            "waveform": accelerator.waveform,
            "sync_word": plan.dialect.to_words(plan.up.events(0), accelerator.waveform)[0][1],
            "intensity": accelerator.relative,
            "room": accelerator.room,
            "rigidity_tm": accelerator.rigidity,
            "settings": self._currents(accelerator),
            "program": {"1": plan.up.as_body(), "2": plan.down.as_body()},
        }

    def _plan(self, ion: str) -> TimingPlan:
        site = self.context.site
        switch_s = self._catalogue.cycle_s.get(ion, float(site.delivery["layer_switch_s"]))
        return load(locate(site.path.parent, site.name, "timing.yaml"), switch_s)

    def _state(self) -> tuple[DevState, str]:
        if self._book.broken:
            return DevState.FAULT, self._book.broken
        if self._selected is None:
            text = _("{count} virtual accelerators; none selected yet")
            return DevState.ON, text.format(count=self._catalogue.count)
        return DevState.ON, _("selected: {name}").format(name=self._selected.id)


class BeamCatalogue(CatalogueDisplay):
    """Settings per ion, energy, intensity and room: `config/SITE/beams.yaml`, and approved versions."""

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
        self._selected, self._chosen = accelerator, entry["version"]
        self.refresh()
        return json.dumps(entry)

    @rule(anyone=True)
    @command(
        dtype_in=str,
        doc_in='JSON of an entry with {"settings": {supply or device: A}, "why", "evidence", "large"}',
        dtype_out=int,
        doc_out="number of the version",
    )
    def Propose(self, text: str) -> int:
        """Propose a version: base currents where it names no other."""
        wish = json_object(text)
        accelerator, session = self._accelerator(wish), self._session()
        base = self._base(accelerator)
        wish["settings"] = self._by_wire(wish.get("settings"))
        limits = {name: self._supply(name).limits.get("current", _ANY) for name in base}
        identity = session.identity
        made = self._book.propose(accelerator.id, wish, base, limits, identity.user, identity.roles)
        self._tell(session, saying("proposed"), accelerator.id, made.number, made.why)
        return made.number

    @rule(anyone=True)
    @command(dtype_in=str, doc_in=ACT)
    def Approve(self, text: str) -> None:
        """Approve a proposal of another person. Physicist."""
        self._act(Act.APPROVE, text, saying("approved"))

    @rule(anyone=True)
    @command(dtype_in=str, doc_in=ACT)
    def Reject(self, text: str) -> None:
        """Reject a version that is not in force. Physicist."""
        self._act(Act.REJECT, text, saying("rejected"))

    @rule(anyone=True)
    @command(dtype_in=str, doc_in=ACT)
    def Withdraw(self, text: str) -> None:
        """Take back a proposal of one's own."""
        self._act(Act.WITHDRAW, text, saying("withdrawn"))

    @rule(anyone=True)
    @command(dtype_in=str, doc_in=ACT)
    def Enforce(self, text: str) -> None:
        """Put an approved version in force, or the base (number 0); the next Select takes it."""
        self._act(Act.ENFORCE, text, saying("put in force"))

    def _act(self, act: Act, text: str, word: Saying) -> None:
        wish, session = json_object(text), self._session()
        entry, identity = self._accelerator(wish).id, session.identity
        self._book.act(act, entry, wish, identity.user, identity.roles)
        self._tell(session, word, entry, int(wish["number"]), str(wish["why"]))
        self.refresh()

    def _tell(self, session: Session, word: Saying, entry: str, number: int, why: str) -> None:
        told = saying(
            "catalogue entry {entry}: version {number} {word}", entry=entry, number=number, word=word
        )
        self._post.post("catalogue", told, why, about=[entry], token=session.token)

    def _session(self) -> Session:
        assert self.caller is not None  # guarded
        return self.caller

    def _by_wire(self, wish: Any) -> Any:
        """Currents by wire; a supply may be called by its device's name as well."""
        if not isinstance(wish, dict):
            return wish
        wires = {device.name: device.wire for device in self.context.site.of_class("MagnetSupply")}
        found = {wires.get(name, name): value for name, value in wish.items()}
        if len(found) != len(wish):
            raise Refused(_("a supply is named twice"))
        return found

    def _supply(self, wire: str) -> Device:
        for device in self.context.site.of_class("MagnetSupply"):
            if device.wire == wire:
                return device
        raise PtcsError(f"no supply {wire}")


_ANY = (-float("inf"), float("inf"))
