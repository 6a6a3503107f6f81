"""Proofs about a site's real table, with the solver z3 (extra `proofs`).

The rules that the interlock runs (interlock/rules.py) are run on bit vectors of unknowns (encoding.py):
any inputs, any memory, any roles. Each property (properties.py) is stated row by row from the table, and
z3 looks for a case that breaks it. What has finitely many cases is gone through case by case.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import z3

from interlock.encoding import Bool, Encoding
from interlock.properties import PROPERTIES, WALKS
from interlock.table import Matrix

__all__ = ["PROPERTIES", "WALKS", "Encoding", "Proof", "prove"]


@dataclass(frozen=True)
class Proof:
    """One property. `counterexample` shows the unknowns of a case that breaks it."""

    name: str
    holds: bool
    counterexample: Mapping[str, str] = field(default_factory=dict)


def prove(matrix: Matrix) -> list[Proof]:
    """Every property on this table."""
    encoding = Encoding(matrix)
    return [
        *(_prove(encoding, statement) for statement in PROPERTIES),
        *(_walk(matrix, walk) for walk in WALKS),
    ]


def _prove(encoding: Encoding, statement: Callable[[Encoding], Iterator[Bool]]) -> Proof:
    solver = z3.Solver()
    solver.add(z3.Not(z3.And(list(statement(encoding)))))
    if solver.check() == z3.unsat:
        return Proof(statement.__name__, holds=True)
    model = solver.model()
    return Proof(statement.__name__, False, {str(unknown): str(model[unknown]) for unknown in model})


def _walk(matrix: Matrix, walk: Callable[[Matrix], Iterator[str]]) -> Proof:
    complaint = next(walk(matrix), None)
    return Proof(walk.__name__, complaint is None, {"case": complaint} if complaint else {})
