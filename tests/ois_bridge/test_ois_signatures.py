"""Signatures under records of other systems: who may, with the password, and for what."""

import httpx
import pytest

from common import authority
from common.errors import Refused
from common.state import StateDir
from tests.ois_bridge.conftest import Ois
from tests.ois_bridge.ois_steps import Users, ok, refused

pytestmark = pytest.mark.requirement("ACS-REVALIDATE")

DIGEST = "0123456789abcdef" * 4


def sign(client: httpx.Client, password: str, **changed: str) -> httpx.Response:
    return client.post(
        "/signatures", json={"hash": DIGEST, "meaning": "revalidation", "password": password, **changed}
    )


def test_a_person_signs_a_digest_with_the_password(ois: Ois, users: Users) -> None:
    for user in ("operator", "physicist"):
        signed = ok(sign(users[user], ois.password(user)))["signed"]
        key = authority.load_public(StateDir(ois.state).public_key)
        said = authority.read_statement(key, signed)
        assert {k: v for k, v in said.items() if k != "time"} == {
            "purpose": "record", "hash": DIGEST, "meaning": "revalidation", "user": user
        }  # fmt: skip
        with pytest.raises(Refused):
            authority.verify(key, signed, authority.datetime.now(authority.UTC))


def test_no_signature_without_password_role_digest_or_meaning(ois: Ois, users: Users) -> None:
    operator, right = users["operator"], ois.password("operator")
    refused(sign(operator, "guess"), 403, "wrong")
    refused(sign(users["physician"], ois.password("physician")), 403, "sign records")
    refused(sign(users["therapist"], ois.password("therapist")), 403, "sign records")
    for digest in ("", "0" * 63, "0" * 65, DIGEST.upper(), "z" * 64):
        refused(sign(operator, right, hash=digest), 422, "SHA-256")
    refused(sign(operator, right, meaning="approval"), 422, "revalidation")
    assert httpx.post(f"{ois.url}/api/v1/signatures", json={}, trust_env=False).status_code == 401
