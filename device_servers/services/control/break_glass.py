"""Break-glass: local accounts for when the OIS does not answer.

An administrator sets them while it does: name, roles (operator, service) and an Argon2 hash in
`STATE/keys/break_glass.json`. Wrong passwords make the next try wait, longer each time; the count is in the
hash chain `STATE/audit/break-glass.log`, so that a restart forgives nothing. Whatever happens here is told to
the OIS when it is back.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.authority import LOCAL_ROLES
from common.errors import Refused, Unauthorised
from common.files import read_json, write_atomic
from common.hashchain import ChainLog, entries
from common.text import _

log = logging.getLogger(__name__)

FREE_TRIES = 3
"""Wrong passwords in a row before the next try has to wait."""
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 900.0
USED, WRONG, SET, OVER, REPORTED = "used", "wrong password", "account set", "over", "reported"
SHORTEST_PASSWORD = 12

_hasher = PasswordHasher()


@cache
def _decoy() -> str:
    """What a password is compared with where there is no account: it takes as long."""
    return _hasher.hash("nobody has this password")


@dataclass(frozen=True)
class LocalAccount:
    """One local account."""

    user: str
    roles: frozenset[str]
    password_hash: str


def hashed(password: str) -> str:
    """The Argon2 hash of a password that is long enough. Raises Refused."""
    if len(password) < SHORTEST_PASSWORD:
        raise Refused(
            _("a break-glass password has at least {count} characters").format(count=SHORTEST_PASSWORD)
        )
    return _hasher.hash(password)


def wait_s(failures: int) -> float:
    """How long to wait after so many wrong passwords in a row, s."""
    beyond = failures - FREE_TRIES
    return 0.0 if beyond < 0 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**beyond)


class BreakGlass:
    """Local accounts and the log of their use. One thread at a time."""

    def __init__(self, accounts: Path, chain: Path, now: Callable[[], float]) -> None:
        """Take up the log. Raises Tampered when it was altered, OSError."""
        self._path, self._now = accounts, now
        self._chain = ChainLog(chain)
        self._log_path = chain
        self._failures, self._last_wrong = 0, 0.0
        for entry in entries(chain):
            self._count(entry)

    def set_account(self, user: str, roles: frozenset[str], password_hash: str, by: str) -> None:
        """Make or replace an account; no hash removes it. Raises Refused, OSError."""
        if not roles or roles - LOCAL_ROLES:
            allowed = ", ".join(sorted(LOCAL_ROLES))
            raise Refused(_("roles of a local account: allowed are {allowed}").format(allowed=allowed))
        if not user.isidentifier() or len(user) > 40:
            raise Refused(_("a user's name has letters, digits and _, 40 at most"))
        if password_hash and not password_hash.startswith("$argon2id$"):
            raise Refused(
                _("the password has to come hashed by Argon2; `ptcs control break-glass set` does it")
            )
        self._note(SET, user, by=by, roles=sorted(roles), removed=not password_hash)
        rows = {account.user: account for account in self.accounts()}
        rows.pop(user, None)
        if password_hash:
            rows[user] = LocalAccount(user, roles, password_hash)
        content = {
            name: {"roles": sorted(row.roles), "password_hash": row.password_hash}
            for name, row in rows.items()
        }
        write_atomic(self._path, json_bytes(content), mode=0o600)

    def accounts(self) -> list[LocalAccount]:
        """All accounts; none when the file is missing or cannot be read (logged)."""
        try:
            content = read_json(self._path)
            return [
                LocalAccount(user, frozenset(row["roles"]), str(row["password_hash"]))
                for user, row in content.items()
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as why:
            log.error("%s cannot be read: %s", self._path.name, type(why).__name__)
            return []

    def authenticate(self, user: str, password: str, reason: str) -> LocalAccount:
        """The account of a name and password, noted as used. Raises Unauthorised, Refused, OSError."""
        waits = self._last_wrong + wait_s(self._failures) - self._now()
        if waits > 0:
            text = _("too many wrong passwords; try again in {seconds:.0f} s")
            raise Unauthorised(text.format(seconds=waits))
        reason = " ".join(reason.split())
        if not 5 <= len(reason) <= 200:
            raise Refused(_("say why, in 5 to 200 characters: it goes into the log and to the OIS"))
        found = next((account for account in self.accounts() if account.user == user), None)
        try:
            right = _hasher.verify(found.password_hash if found else _decoy(), password) and found is not None
        except (VerificationError, InvalidHashError):
            right = False
        if found is None or not right:
            self._note(WRONG, user[:40] if found else "unknown", reason=reason)
            raise Unauthorised(_("user name or password of the local account is wrong"))
        self._note(USED, user, reason=reason, roles=sorted(found.roles))
        log.critical("BREAK-GLASS: %s logs in without the OIS: %s", user, reason)
        return found

    def over(self, why: str) -> None:
        """Local log-ins are not accepted any more. Raises OSError."""
        self._note(OVER, "", reason=why)
        log.warning("break-glass is over: %s", why)

    def unreported(self) -> list[dict[str, Any]]:
        """Entries that the OIS has not been told, with their numbers. Raises Tampered."""
        rows = [{"number": number, **row} for number, row in enumerate(entries(self._log_path), start=1)]
        told = max((int(row["upto"]) for row in rows if row["what"] == REPORTED), default=0)
        return [row for row in rows if row["number"] > told and row["what"] != REPORTED]

    def reported(self, upto: int) -> None:
        """The OIS has the entries up to a number. Raises OSError."""
        self._note(REPORTED, "", upto=upto)

    def close(self) -> None:
        """Close the log."""
        self._chain.close()

    def _note(self, what: str, user: str, **more: Any) -> None:
        entry = {"time": self._now(), "what": what, "user": user, **more}
        self._chain.append(entry)
        self._count(entry)

    def _count(self, entry: dict[str, Any]) -> None:
        if entry["what"] == WRONG:
            self._failures, self._last_wrong = self._failures + 1, float(entry["time"])
        elif entry["what"] in (USED, SET):
            self._failures = 0


def json_bytes(content: Any) -> bytes:
    """A JSON file's text."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
