"""Which processor does the work: the cores (cpu), or a CUDA device where there is one (cuda)."""

import os
from importlib.util import find_spec
from typing import Any, Literal

from common.errors import BadInput
from common.text import _

# kernels over a few sums are small on purpose; numba-cuda reads this when it is first imported
os.environ.setdefault("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0")

DEVICES = ("cpu", "cuda", "auto")
"""What may be asked for; auto takes a CUDA device where there is one."""

Processor = Literal["cpu", "cuda"]


def has_cuda() -> bool:
    """Whether the package numba-cuda finds a device and its driver, or numba's simulator is switched on.

    What numba itself still has of CUDA does not compile these kernels.
    """
    from numba import config, cuda  # noqa: PLC0415 - loads a driver that most runs do not need

    found = config.ENABLE_CUDASIM or find_spec("numba_cuda") is not None
    return bool(found and cuda.is_available())


def chosen(name: str) -> Processor:
    """What works when `name` is asked for. Raises BadInput for names not in DEVICES, and cuda without one."""
    if name not in DEVICES:
        raise BadInput(
            _("device {name}: allowed are {allowed}").format(name=name, allowed=", ".join(DEVICES))
        )
    if name == "cpu":
        return "cpu"
    found = has_cuda()
    if name == "cuda" and not found:
        raise BadInput(
            _(
                "device cuda: no CUDA device can be used here; take cpu or auto, "
                "or install the NVIDIA driver and numba-cuda (docs/explanations/gpu.md)"
            )
        )
    return "cuda" if found else "cpu"


def name_of_device() -> str:
    """What the CUDA device calls itself; the simulator's name when that is switched on."""
    from numba import config, cuda  # noqa: PLC0415

    if config.ENABLE_CUDASIM:
        return "CUDA simulator"
    device: Any = cuda.get_current_device()
    label = device.name
    return str(label.decode() if isinstance(label, bytes) else label)


def refuse_too_large(needed: float) -> None:
    """Raise BadInput when the CUDA device has less than `needed` bytes free."""
    from numba import cuda  # noqa: PLC0415

    free = float(cuda.current_context().get_memory_info()[0])
    if needed > free:
        raise BadInput(
            _(
                "the CUDA device has {free} GiB free and {needed} GiB are needed; "
                "take device cpu or a coarser grid"
            ).format(free=f"{free / 2**30:.1f}", needed=f"{needed / 2**30:.1f}")
        )
