"""Electronic signatures."""

from fastapi import APIRouter

from ois_bridge.interfaces.rest import schemas
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.services import signatures

router = APIRouter(tags=["signatures"])


@router.post("/signatures", status_code=201)
def sign(context: Means, caller: By, body: schemas.SignBody) -> schemas.Signature:
    """Sign the digest of a record (operator, physicist, service); the password is asked again."""
    signed = signatures.sign(context, caller, body.hash, body.meaning, body.password)
    return schemas.Signature(signed=signed)
