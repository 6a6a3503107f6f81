"""What answers without a log-in: health, public key, log-in. And the description of the interface."""

from typing import Annotated, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field

from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.services import accounts, machine

router = APIRouter(tags=["entry"])


@router.get("/health")
def health(context: Means) -> dict[str, str]:
    """Whether the process and its database answer."""
    with context.database.reading() as session:
        session.connection().exec_driver_sql("SELECT 1")
    return {"status": "ok"}


@router.get("/public-key", response_class=PlainTextResponse)
def public_key(context: Means) -> str:
    """The key that verifies tokens and approvals, as PEM."""
    key = context.signing_key.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@router.post("/login")
def log_in(request: Request, context: Means, body: schemas.LogInBody) -> schemas.Token:
    """A token for a user name and password."""
    found = accounts.log_in(context, body.user, body.password, request.client.host if request.client else "?")
    return schemas.Token(token=found.token, expires=found.expires.isoformat(timespec="seconds"))


class StatementBody(schemas.Body):
    """What the machine tells, signed with its own key (a compact JWS)."""

    statement: Annotated[str, Field(max_length=400_000)]


@router.post("/machine/statements")
def tell(context: Means, body: StatementBody) -> dict[str, int]:
    """Keep what the machine tells in the audit trail: local log-ins, and how its logs stand."""
    return {"kept": machine.take(context, body.statement)}


@router.get("/openapi.json")
def description(request: Request, _caller: By) -> dict[str, Any]:
    """This interface, described (OpenAPI 3)."""
    return dict(request.app.openapi())
