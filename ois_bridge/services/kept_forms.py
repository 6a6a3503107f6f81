"""Forms that outlive their session: tokens that say whose page a form was, and bodies sealed to that person.

A form's token is signed with the house's key, so that a form of an ended session is still known to come from
a page of ours, and from whose. What was typed travels in the log-in page, encrypted to that account, and is
opened for nobody else.
"""

import base64
import hmac
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ois_bridge.services.context import Context

GOOD_FOR = timedelta(hours=24)
"""A page that was opened longer ago is not answered for."""

MOST_BYTES = 24 * 1024 * 1024
_SKEW = timedelta(minutes=2)
_MAC_BYTES = 16


@dataclass(frozen=True)
class Kept:
    """What was sent: where to, as what, with which token in it."""

    path: str
    content_type: str
    token: str
    body: bytes


def new_token(context: Context, account_key: str) -> str:
    """A token for the forms of one log-in of an account: at most 64 characters."""
    said = f"{account_key}.{int(context.now().timestamp()):x}.{secrets.token_hex(4)}"
    return f"{said}.{_mac(context, said)}"


def owner_of(context: Context, token: str) -> str:
    """The key of the account whose page carried a token; empty for a forged, spoiled or old one."""
    said, _dot, mac = token.rpartition(".")
    if not said or not hmac.compare_digest(mac.encode(), _mac(context, said).encode()):
        return ""
    account_key, made, _nonce = said.split(".")
    age = context.now() - datetime.fromtimestamp(int(made, 16), UTC)
    return account_key if -_SKEW <= age <= GOOD_FOR else ""


def seal(context: Context, account_key: str, kept: Kept) -> str:
    """A text that only `unsealed` for the same account opens."""
    head = json.dumps(
        {
            "path": kept.path,
            "type": kept.content_type,
            "token": kept.token,
            "time": int(context.now().timestamp()),
        }
    ).encode()
    plain = zlib.compress(len(head).to_bytes(4, "big") + head + kept.body)
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(_key(context, b"kept form")).encrypt(nonce, plain, account_key.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unsealed(context: Context, account_key: str, text: str) -> Kept | None:
    """What was sealed; nothing for another account, another installation, or what is too old."""
    try:
        raw = base64.urlsafe_b64decode(text.encode())
        plain = AESGCM(_key(context, b"kept form")).decrypt(raw[:12], raw[12:], account_key.encode())
    except (ValueError, InvalidTag):
        return None
    content = zlib.decompress(plain)
    length = int.from_bytes(content[:4], "big")
    head: Mapping[str, str] = json.loads(content[4 : 4 + length])
    if context.now() - datetime.fromtimestamp(int(head["time"]), UTC) > GOOD_FOR:
        return None
    return Kept(head["path"], head["type"], head["token"], content[4 + length :])


def _mac(context: Context, said: str) -> str:
    digest = hmac.digest(_key(context, b"form token"), said.encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:_MAC_BYTES]).decode().rstrip("=")


def _key(context: Context, purpose: bytes) -> bytes:
    """A key of its own for each purpose, from the house's key (RFC 5869)."""
    secret = context.signing_key.private_bytes_raw()
    return HKDF(SHA256(), 32, salt=None, info=b"ptcs ois " + purpose).derive(secret)
