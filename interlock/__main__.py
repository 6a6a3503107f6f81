"""`python -m interlock page|model|prove MATRIX`: what is generated from a site's table, to stdout."""

import argparse
import sys
from pathlib import Path

from common.errors import PtcsError
from interlock import html, promela
from interlock.matrix import Matrix, load


def main() -> int:
    """Write it; 1 with a reason if the table is bad or a property does not hold."""
    parser = argparse.ArgumentParser(prog="interlock", description=__doc__)
    parser.add_argument("what", choices=("page", "model", "prove"), help="HTML page, Promela model, proofs")
    parser.add_argument("matrix", type=Path, help="file such as config/interlock.yaml")
    wish = parser.parse_args()
    try:
        matrix = load(wish.matrix)
    except PtcsError as why:
        sys.stderr.write(f"interlock: {why}\n")
        return 1
    if wish.what == "prove":
        return _prove(matrix)
    sys.stdout.write(html.page(matrix) + "\n" if wish.what == "page" else promela.model(matrix))
    return 0


def _prove(matrix: Matrix) -> int:
    from interlock.proofs import prove  # noqa: PLC0415 - needs the extra `proofs`; the rest does not

    results = prove(matrix)
    for proof in results:
        verdict = "holds" if proof.holds else f"BROKEN by {dict(proof.counterexample)}"
        sys.stdout.write(f"{proof.name}: {verdict}\n")
    return 0 if all(proof.holds for proof in results) else 1


if __name__ == "__main__":
    sys.exit(main())
