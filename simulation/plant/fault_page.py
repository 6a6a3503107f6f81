"""All kinds of faults as a page: `python -m simulation.plant.fault_page` writes docs/reference/faults.md."""

from pathlib import Path

from simulation.plant.registry import FAMILIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
HEAD = """# Faults of the simulated equipment

`ptcs fault inject DEVICE KIND` lets one happen, `ptcs fault clear DEVICE [KIND]` takes its cause away;
`DEVICE` is a wire or a Tango name. A code of 0 shows in the readings only. A latched code stays until the
device is reset. The beam hardware's own faults are listed by `ptcs fault list fpga`. This page is written
by `python -m simulation.plant.fault_page` from the families of the plant. What a fault does to beam that is
being delivered: `trip`: the device is not good for beam at once; `slow`: something passes its limit after a
while, or settles within it; `beam`: the beam changes, and by how much decides whether it is taken away;
`quiet`: nothing.

| class | kind | code | latched | beam | what happens |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    rows = []
    for name, family in sorted(FAMILIES.items()):
        for kind, fault in family.faults.items():
            latched = "yes" if family.latching and fault.code else ""
            rows.append(f"| {name} | {kind} | {fault.code} | {latched} | {fault.effect} | {fault.text} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
