"""Work shared by the processor cores: compiled kernels release the interpreter lock and run in threads."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")


def workers() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=workers(), thread_name_prefix="dose")


def spread(work: Callable[[int, int], T], count: int, parts: int | None = None) -> list[T]:
    """Call `work(first, behind)` on equal parts of range(count), in parallel; results in order."""
    pieces = max(1, min(count, parts or workers()))
    edges = [count * k // pieces for k in range(pieces + 1)]
    spans: Sequence[tuple[int, int]] = list(pairwise(edges))
    if pieces == 1:
        return [work(*spans[0])]
    return list(_pool().map(lambda span: work(*span), spans))


class Spare(Generic[T]):
    """Arrays that a thread works in, handed on to the next: memory costs time when it is first touched."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._free: list[T] = []

    @contextmanager
    def lent(self) -> Iterator[T]:
        """One that nobody else has; made when none is free."""
        try:
            one = self._free.pop()
        except IndexError:
            one = self._make()
        yield one
        self._free.append(one)
