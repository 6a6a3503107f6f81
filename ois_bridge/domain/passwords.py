"""What a password must be: long, and not one that everybody tries (NIST SP 800-63B-4, 3.1.1.2)."""

from common.errors import BadInput
from common.text import _

SHORTEST, LONGEST = 12, 128

COMMON = (
    "123456",
    "abcdef",
    "qwerty",
    "password",
    "passw0rd",
    "admin",
    "letmein",
    "iloveyou",
    "111111",
    "888888",
)
"""Beginnings of the passwords that are tried first."""


def checked(password: str, user: str) -> str:
    """The password. Raises BadInput, which says what is wrong with it."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(
            _("A password has {least} to {most} characters; a sentence is easy to remember.").format(
                least=SHORTEST, most=LONGEST
            )
        )
    lower = password.lower()
    if user.lower() in lower:
        raise BadInput(_("The password must not hold the user name."))
    if len(set(lower)) < 5 or lower.startswith(COMMON):
        raise BadInput(_("This password is among the first that are tried; take another."))
    return password
