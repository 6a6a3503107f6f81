"""Electronic signatures under forms: the house's own, behind the hook for a hospital's provider.

A signature is bound to the digest of kind, version, course and content (`digest` of domain/form_content.py),
and can be verified later by anybody who has the OIS's public key.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from common import authority
from common.errors import Tampered
from common.text import _
from ois_bridge.models.forms import FormRecord
from ois_bridge.services import accounts
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import records
from ois_bridge.services.patients import must
from ois_bridge.services.ports import SignatureProvider

PURPOSE = "form"


@dataclass(frozen=True)
class Signed:
    """What a signature says: who, when, with what meaning."""

    user: str
    meaning: str
    time: datetime


class HouseSignature:
    """The password is asked again; the OIS signs {purpose, hash, meaning, user, time} with Ed25519."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def sign(self, user: str, digest: str, meaning: str, secret: str) -> str:
        """A compact JWS. Raises Unauthorised for a wrong password."""
        accounts.authenticate(self._context, user, secret, "sign a form")
        time = self._context.now().isoformat(timespec="milliseconds")
        statement = {"purpose": PURPOSE, "hash": digest, "meaning": meaning, "user": user, "time": time}
        return authority.sign(self._context.signing_key, statement)

    def verify(self, signature: str, digest: str) -> dict[str, Any]:
        """What a signature says. Raises Tampered when it is not of this content or not of this OIS."""
        try:
            statement: dict[str, Any] = jwt.decode(
                signature,
                self._context.signing_key.public_key(),
                algorithms=[authority.ALGORITHM],
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as why:
            raise Tampered(_("The signature of this form is not one of this OIS.")) from why
        if statement.get("purpose") != PURPOSE or statement.get("hash") != digest:
            raise Tampered(_("The signature does not fit the content: the form was changed after signing."))
        return statement


def provider(context: Context) -> SignatureProvider:
    """The provider in force: the hospital's where one is configured, else the house's."""
    return context.signatures or HouseSignature(context)


def sign(context: Context, caller: Caller, form_key: str, meaning: str, secret: str) -> tuple[str, str]:
    """The signature of a form's content as it is now, and the digest that it is bound to.

    It stands before the transaction that uses it, which compares the digest again. Raises NotFound,
    Unauthorised.
    """
    with context.database.reading() as session:
        digest = records.digest(must(session.get(FormRecord, form_key)))
    return provider(context).sign(caller.user, digest, meaning, secret), digest


def digest_of(*parts: str) -> str:
    """SHA-256 (hex) of a statement that has no form."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def verify(context: Context, row: FormRecord) -> Signed:
    """What a form's signature says. Raises Tampered: none, forged, or the content was changed after it."""
    if not row.signature:
        raise Tampered(_("This form is not signed."))
    said = provider(context).verify(row.signature, records.digest(row))
    return Signed(str(said["user"]), str(said["meaning"]), datetime.fromisoformat(str(said["time"])))
