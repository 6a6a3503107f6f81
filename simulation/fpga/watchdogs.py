"""Link watchdogs of the clients whose loss must trip. Wall time, never scaled."""

import time
from collections.abc import Sequence

from simulation.fpga.guard import WATCHDOG
from simulation.wire_server import Client


class Watchdogs:
    """Which of the named clients live: said hello as watched, still connected, heard within the limit.

    Where two are connected under one name both have to live: the silent one may be the one that acts.
    """

    def __init__(self, names: Sequence[str], limit_s: float) -> None:
        self._limit = limit_s
        self._clients: dict[str, set[Client]] = {name: set() for name in names}

    def greeted(self, client: Client) -> None:
        """A client has named itself, perhaps anew."""
        self.left(client)
        if client.watchdog and client.name in self._clients:
            self._clients[client.name].add(client)

    def left(self, client: Client) -> None:
        """A client's socket has closed: this counts at once."""
        for clients in self._clients.values():
            clients.discard(client)

    def inputs(self) -> dict[str, bool | None]:
        """Interlock input of each watched name."""
        now = time.monotonic()
        return {
            WATCHDOG + name: bool(clients) and all(now - client.heard < self._limit for client in clients)
            for name, clients in self._clients.items()
        }
