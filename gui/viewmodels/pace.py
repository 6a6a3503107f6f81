"""How often a picture is drawn: when it would differ by a pixel, and for its share of a core at most."""

SHARE = 0.08
"""Of one core, for drawing."""
QUICKEST_S = 0.1


class Pace:
    """Decides at each tick. Times in s: `now` monotonic, `spent` processor time of this thread."""

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._drawn = float("-inf")
        self._spent = 0.0
        self._next = float("-inf")
        self._fresh = False

    def due(self, now: float, spent: float, step: float | None, forced: bool = False) -> bool:
        """Whether to draw now.

        step: s in which the picture moves by a pixel; None: it does not move by itself. forced: something
        else has changed; then only the share counts. The cost of a picture is what the thread spent until
        the tick behind it, for that is when it was painted.
        """
        if self._fresh:
            self._fresh = False
            self._next = self._drawn + max(QUICKEST_S, (spent - self._spent) / self._share)
        if now < self._next:
            return False
        if not forced and (step is None or now < self._drawn + step):
            return False
        self._drawn, self._spent, self._fresh = now, spent, True
        return True
