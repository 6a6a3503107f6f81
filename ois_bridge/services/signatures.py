"""Electronic signatures under records of other systems: a person confirms a digest with the password."""

import re

from common import authority
from common.errors import BadInput, Unauthorised
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.services import accounts
from ois_bridge.services.context import Caller, Context

PURPOSE = "record"
"""Keeps these statements apart from the approval of a plan."""
MEANINGS = ("revalidation", "checklist")
DIGEST = re.compile(r"[0-9a-f]{64}")


def sign(context: Context, caller: Caller, digest: str, meaning: str, password: str) -> str:
    """The statement {purpose, hash, meaning, user, time}, signed by the OIS, as a compact JWS.

    The password is asked again. Raises BadInput for no SHA-256 digest or an unknown meaning, Unauthorised.
    """
    if not DIGEST.fullmatch(digest):
        raise BadInput(_("A SHA-256 digest in hex (64 characters) is needed."))
    if meaning not in MEANINGS:
        raise BadInput(
            _("Unknown meaning of a signature: allowed are {all}.").format(all=", ".join(MEANINGS))
        )
    try:
        accounts.authenticate(context, caller.user, password, "confirm a signature")
    except Unauthorised as why:
        context.refused(caller.user, Action.SIGN_RECORD.value, digest, why)
        raise
    with context.permitted(caller, Action.SIGN_RECORD, digest, meaning):
        time = context.now().isoformat(timespec="milliseconds")
        statement = {
            "purpose": PURPOSE,
            "hash": digest,
            "meaning": meaning,
            "user": caller.user,
            "time": time,
        }
        return authority.sign(context.signing_key, statement)
