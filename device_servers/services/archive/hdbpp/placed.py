"""How far each attribute reaches in the database: what comes after that stands in nothing's way."""

from typing import Any

import numpy as np
from psycopg import Connection

from device_servers.services.archive.hdbpp import known
from device_servers.services.archive.hdbpp.samples import Samples, copy_in, make_way

UNKNOWN = "the value is unknown from this time on"
"""What att_error_desc says of samples without a value."""


class Placed:
    """The last time of each attribute that a commit has acknowledged."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._unknown = 0

    def begin(self, connection: Connection[Any]) -> None:
        """See how far the attributes reach: at the start, and after a commit whose answer was lost."""
        self._unknown = known.error_number(connection, UNKNOWN)
        reached = known.newest(connection, (entry.number for entry in known.attributes(connection)))
        self._newest = dict(zip(reached["id"].tolist(), reached["stamp"].tolist(), strict=True))

    def write(self, connection: Connection[Any], samples: Samples) -> Samples:
        """Copy samples, in the order that `ordered` makes; those written. Raises OSError."""
        ids = np.unique(samples["id"])
        bounds = np.array([self._newest.get(int(number), np.iinfo(np.int64).min) for number in ids])
        if len(ids) and (samples["stamp"] <= bounds[np.searchsorted(ids, samples["id"])]).any():
            # a nudged sample may reach one that is not late: both are looked at together
            samples = make_way(connection, samples)
        copy_in(connection, samples, self._unknown)
        return samples

    def note(self, samples: Samples) -> None:
        """Remember samples as acknowledged."""
        ids = np.unique(samples["id"])
        lasts = samples["stamp"][np.searchsorted(samples["id"], ids, side="right") - 1]
        for number, stamp in zip(ids.tolist(), lasts.tolist(), strict=True):
            self._newest[number] = max(stamp, self._newest.get(number, stamp))
