"""The list of all cases, in the order of the report."""

from common.errors import BadInput
from common.text import _
from tps_engine.validate import biology, clinical, ions, lateral, mixed, other, planning, ranges
from tps_engine.validate.case import Case

ENGINES = ("pb", "mc")


def cases() -> list[Case]:
    """Every case, with titles in the language in force."""
    return [
        *(case for engine in ENGINES for case in ranges.cases(engine)),
        *(case for engine in ENGINES for case in lateral.cases(engine)),
        *mixed.cases(),
        *other.cases(),
        *planning.cases(),
        *clinical.cases(),
        *biology.cases(),
        *ions.cases(),
    ]


def chosen(names: tuple[str, ...]) -> list[Case]:
    """The cases whose name, or its part before the last -, is given; all when none is.

    Raises BadInput for a name that no case has.
    """
    everything = cases()
    if not names:
        return everything
    for name in names:
        if not any(_fits(case, name) for case in everything):
            known = ", ".join(case.name for case in everything)
            raise BadInput(_("no validation case {name}: there are {known}").format(name=name, known=known))
    return [case for case in everything if any(_fits(case, name) for name in names)]


def _fits(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(f"{name}-")
