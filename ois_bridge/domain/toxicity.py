"""Side effects of treatment, graded as CTCAE 5.0 does (NCI, 27 November 2017, its guideline of grades)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.words import N_

GRADES: Mapping[int, str] = {
    0: N_("none"),
    1: N_("mild"),
    2: N_("moderate"),
    3: N_("severe"),
    4: N_("life-threatening"),
    5: N_("death"),
}
MOST = 20


@dataclass(frozen=True)
class Toxicity:
    """One side effect and its grade."""

    term: str
    grade: int


def checked(found: Sequence[tuple[str, str]]) -> tuple[Toxicity, ...]:
    """Side effects as typed: (term, grade). Rows without a term are left out.

    Raises BadInput for a grade that CTCAE does not have, a term given twice, or too many rows.
    """
    kept: list[Toxicity] = []
    for term, grade in found:
        if not term.strip():
            continue
        if grade not in {str(number) for number in GRADES} or len(term) > 80:
            raise BadInput(
                _("Side effect {term}: a grade from 0 to 5 (CTCAE) is needed.").format(term=term[:80])
            )
        kept.append(Toxicity(readable(term.strip(), _("Side effects")), int(grade)))
    if len(kept) > MOST or len({one.term for one in kept}) != len(kept):
        raise BadInput(_("Side effects: at most {n}, each once.").format(n=MOST))
    return tuple(kept)
