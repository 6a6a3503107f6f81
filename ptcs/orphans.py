"""No orphans: a child asks the kernel to be killed when its parent dies."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Ask for SIGKILL at the death of the parent process (Linux prctl(2)). Raises OSError.

    The kernel means the thread that forked: children are started from a thread that stays.
    A parent that died before the call is noticed by its pid.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)
