"""`python -m interlock WHAT TABLE`: check it, prove it, or write what is made of it to stdout."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from common.errors import PtcsError
from interlock import diagrams, html, promela, promela_off, st
from interlock.matrix import Matrix, load
from interlock.table import Family

MAKERS: Mapping[str, Callable[[Matrix], str]] = {
    "html": html.page,
    "diagrams": diagrams.page,
    "st": st.text,
    "model": promela.model,
    "model-off": promela_off.model,
}


def main() -> int:
    """Write it; 1 with a reason if the table is bad or a property does not hold."""
    parser = argparse.ArgumentParser(prog="interlock", description=__doc__)
    parser.add_argument(
        "what",
        choices=("check", *MAKERS, "prove"),
        help="check; HTML page; state diagrams; IEC 61131-3 Structured Text; models for spin; proofs",
    )
    parser.add_argument("matrix", type=Path, help="file such as config/interlock.yaml")
    wish = parser.parse_args()
    try:
        matrix = load(wish.matrix)
    except PtcsError as why:
        sys.stderr.write(f"interlock: {why}\n")
        return 1
    if wish.what == "prove":
        return _prove(matrix)
    if wish.what == "check":
        sys.stdout.write(_summary(matrix))
        return 0
    sys.stdout.write(MAKERS[wish.what](matrix).rstrip("\n") + "\n")
    return 0


def _summary(matrix: Matrix) -> str:
    families = ", ".join(f"{sum(row.family is f for row in matrix.inputs)} {f}" for f in Family)
    pairs, stages = len(matrix.pairs), len(matrix.beam_off)
    return (
        f"{matrix.name}: {len(matrix.inputs)} inputs ({families}; {pairs} of two channels), "
        f"{len(matrix.outputs)} outputs, rooms {', '.join(matrix.rooms) or 'none'}, "
        f"{stages} beam-off stages, self-test {'asked' if matrix.self_test_ticks else 'not asked'}\n"
    )


def _prove(matrix: Matrix) -> int:
    from interlock.proofs import prove  # noqa: PLC0415 - needs the extra `proofs`; the rest does not

    results = prove(matrix)
    for proof in results:
        verdict = "holds" if proof.holds else f"BROKEN by {dict(proof.counterexample)}"
        sys.stdout.write(f"{proof.name}: {verdict}\n")
    return 0 if all(proof.holds for proof in results) else 1


if __name__ == "__main__":
    sys.exit(main())
