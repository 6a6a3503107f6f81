"""The layout of a facility's state directory, in one place. See docs/reference/interfaces.md."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import LinkLost
from common.files import read_json, write_json


@dataclass(frozen=True)
class StateDir:
    """Paths below one state directory."""

    root: Path

    @property
    def facility(self) -> Path:
        """What `ptcs status --json` prints."""
        return self.root / "facility.json"

    @property
    def tango_database(self) -> Path:
        """File of the embedded Tango database."""
        return self.root / "tango" / "tango.db"

    @property
    def signing_key(self) -> Path:
        """Ed25519 private key of the OIS."""
        return self.root / "keys" / "ois_signing.pem"

    @property
    def public_key(self) -> Path:
        """Ed25519 public key of the OIS."""
        return self.root / "keys" / "ois_public.pem"

    @property
    def machine_key(self) -> Path:
        """Ed25519 private key of the machine itself: who has control, local log-ins, seals of logs."""
        return self.root / "keys" / "machine_signing.pem"

    @property
    def machine_public_key(self) -> Path:
        """Its public key."""
        return self.root / "keys" / "machine_public.pem"

    @property
    def break_glass(self) -> Path:
        """Hashed passwords of local accounts, for when the OIS is silent."""
        return self.root / "keys" / "break_glass.json"

    @property
    def holders(self) -> Path:
        """Who has control of which area now, signed by the machine."""
        return self.root / "control" / "holders.json"

    @property
    def demo_accounts(self) -> Path:
        """Generated passwords of a demonstration facility."""
        return self.root / "keys" / "demo-accounts.json"

    @property
    def archive(self) -> Path:
        """HDF5 segments and their manifest."""
        return self.root / "archive"

    def run_file(self, process: str) -> Path:
        """Where a process says which ports it has."""
        return self.root / "run" / f"{process}.json"

    def log_file(self, process: str) -> Path:
        """Where a process's stderr goes."""
        return self.root / "log" / f"{process}.log"

    def audit(self, server: str) -> Path:
        """Hash chain of a device server's writes."""
        return self.root / "audit" / f"{server}.log"

    def announce(self, process: str, **endpoints: Any) -> None:
        """Write the run file of the calling process, atomically."""
        write_json(self.run_file(process), {"pid": os.getpid(), "host": "127.0.0.1", **endpoints})

    def endpoint(self, process: str) -> dict[str, Any]:
        """What a process announced. Raises LinkLost when it has not (yet)."""
        try:
            return dict(read_json(self.run_file(process)))
        except (OSError, ValueError) as why:
            raise LinkLost(
                f"{process} is not running in {self.root}; `ptcs up --state {self.root}` starts a facility"
            ) from why
