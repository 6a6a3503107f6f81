"""One source, two processors: the compiled functions of the engines as device functions of CUDA.

The physics stands once, as functions compiled for the cores (`numba.njit`). `Linker` compiles the same
Python functions, and all that they call, for CUDA. A function that must differ there, as adding to a tally
that many threads share, is named with what replaces it.
"""

import math
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import cuda
from numba.core.dispatcher import Dispatcher

_OF_NUMBERS: Mapping[Any, Any] = {
    np.cos: math.cos, np.exp: math.exp, np.floor: math.floor, np.log: math.log, np.log10: math.log10,
    np.sin: math.sin, np.sqrt: math.sqrt,
}  # fmt: skip
"""CUDA has these for numbers only, under their names in `math`."""


class Linker:
    """Device functions by the function that they are made of; each is made once.

    replaced: functions compiled for the cores, and the device functions that stand for them.
    """

    def __init__(self, replaced: Mapping[Dispatcher, Callable[..., Any]] | None = None) -> None:
        self._made: dict[Dispatcher, Callable[..., Any]] = dict(replaced or {})

    def of(self, function: Dispatcher) -> Callable[..., Any]:
        """The device function of one that is compiled for the cores. Raises TypeError for any other."""
        if not isinstance(function, Dispatcher):
            raise TypeError(f"{function!r}: allowed are functions compiled by numba.njit")
        if function not in self._made:
            source = function.py_func
            called = source.__code__.co_names
            scope = {
                name: self._linked(source.__globals__[name], called)
                for name in called
                if name in source.__globals__
            }
            copy = FunctionType(source.__code__, scope, source.__name__, source.__defaults__)
            copy.__module__, copy.__doc__ = source.__module__, source.__doc__
            self._made[function] = cuda.jit(device=True)(copy)
        return self._made[function]

    def _linked(self, value: Any, names: tuple[str, ...]) -> Any:
        """A global value as device code sees it; of numpy and of our own modules, the names in use."""
        if isinstance(value, Dispatcher):
            return self.of(value)
        if isinstance(value, ModuleType):
            used = {name: getattr(value, name) for name in names if hasattr(value, name)}
            if value is np or any(isinstance(one, Dispatcher) for one in used.values()):
                seen = ModuleType(value.__name__)
                for name, one in used.items():
                    setattr(seen, name, self._linked(one, names))
                return seen
        return _OF_NUMBERS.get(value, value) if isinstance(value, np.ufunc) else value
