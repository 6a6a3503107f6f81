"""What a result proposes: a file beside it, and versions of entries of the beam catalogue.

A corrected orbit proposes the currents of its correctors for one entry, a range measurement the currents of
all supplies scaled to the energy that the entry should have, an entry for each energy.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import BadInput, LinkLost, Refused
from common.files import write_json
from common.ions import rigidity
from common.text import _
from ptcs.commissioning.result import Result, Verdict
from ptcs.commissioning.store import Store
from ptcs.commissioning.tango_bench import TangoBench, split

PROPOSAL = "proposal.json"
CLASS, COMMAND = "BeamCatalogue", "Propose"
FLAT_TOP, FLAT_TOP_S = "FLAT_TOP", 30.0
LOOK_S = 0.02
CORRECTIONS = frozenset({"orbit", "spot-position"})
Wish = dict[str, Any]


def proposal(result: Result) -> dict[str, Any]:
    """What the file holds. Raises BadInput for a result that proposes nothing or a correction that failed.

    A calibration proposes what it found, whether or not the machine was within tolerance before.
    """
    if result.proposal is None:
        raise BadInput(_("{id} proposes nothing").format(id=result.id))
    if result.kind in CORRECTIONS and result.verdict is not Verdict.PASSED:
        text = _(
            "{id} is {verdict}: only a correction that passed is proposed; correct again, or measure longer"
        )
        raise BadInput(text.format(id=result.id, verdict=result.verdict.value))
    return {
        "kind": result.kind,
        "measurement": result.id,
        "user": result.user,
        "when": result.when,
        "why": _why(result),
        "verdict": result.verdict.value,
        "changes": {key: value for key, value in result.proposal.items() if key != "reason"},
        "evidence": {q.name: [q.value, q.error, q.unit] for q in result.quantities},
    }


def write(store: Store, result: Result, wishes: Sequence[Wish] = ()) -> Path:
    """Write the proposal beside the measurement, with the catalogue's wishes. Raises BadInput, OSError."""
    path = store.folder(result.id) / PROPOSAL
    write_json(path, {**proposal(result), "catalogue": list(wishes)})
    return path


def currents_now(bench: TangoBench, supplies: Sequence[str]) -> dict[str, float]:
    """Set currents of supplies on the flat-top, where a cycle's program has its energy. Raises LinkLost."""
    phase = f"{bench.site.of_class('Timing')[0].name}/CyclePhase"
    end = bench.now() + FLAT_TOP_S
    while bench.now() < end:
        if bench.text(phase) == FLAT_TOP:
            bench.pause(0.2)  # the plant follows the phase, and the servers the plant
            values = bench.read([f"{name}/CurrentSetpoint" for name in supplies]).values
            if bench.text(phase) == FLAT_TOP:
                return dict(zip(supplies, map(float, values), strict=True))
        bench.pause(LOOK_S)
    raise LinkLost(_("no flat-top within {limit:.0f} s: start beam first").format(limit=FLAT_TOP_S))


def of_steering(bench: TangoBench, result: Result, entry: Mapping[str, Any]) -> list[Wish]:
    """A version of an entry {ion, energy, intensity, room} with the correctors as they stand now."""
    content = proposal(result)
    supplies = [split(name)[0] for name in content["changes"]["settings"]]
    return [_wish(result, entry, currents_now(bench, supplies))]


def of_ranges(bench: TangoBench, result: Result, entry: Mapping[str, Any]) -> list[Wish]:
    """A version for each measured energy, its currents scaled to the rigidity that the energy needs."""
    proposal(result)
    device, ion = _catalogue(bench), str(entry["ion"])
    wishes = []
    for row in result.tables[0].rows:
        nominal, found = float(row[0]), float(row[-1])
        factor = rigidity(ion, nominal) / rigidity(ion, found)
        place = {**entry, "energy": nominal}
        shown = json.loads(bench.command(device, "Show", json.dumps(place)))
        wishes.append(_wish(result, place, {name: a * factor for name, a in shown["settings"].items()}))
    return wishes


def hand_in(bench: TangoBench, wishes: Sequence[Wish]) -> list[str]:
    """Propose to the beam catalogue; the numbers of the versions. Raises Refused where it takes none."""
    device = _catalogue(bench)
    return [str(bench.command(device, COMMAND, json.dumps(wish))) for wish in wishes]


def _catalogue(bench: TangoBench) -> str:
    device = next((row.name for row in bench.site.of_class(CLASS)), "")
    if not device:
        raise Refused(_("the site has no beam catalogue; the proposal lies beside the measurement"))
    if COMMAND not in [row.cmd_name for row in bench.client.proxy(device).command_list_query()]:
        text = _("{device} takes no proposals; the proposal lies beside the measurement")
        raise Refused(text.format(device=device))
    return device


def _wish(result: Result, entry: Mapping[str, Any], settings: Mapping[str, float]) -> Wish:
    evidence = {"measurement": result.id, "verdict": result.verdict.value}
    return {**entry, "settings": dict(settings), "why": _why(result), "evidence": evidence}


def _why(result: Result) -> str:
    return str((result.proposal or {}).get("reason", result.title))
