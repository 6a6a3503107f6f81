"""Refusals that the borders answer differently: not logged in, not found."""

from common.errors import Refused, Unauthorised


class NotLoggedIn(Unauthorised):
    """Nobody, or a token or session whose time is over."""


class NotFound(Refused):
    """No such thing in the OIS."""


class PasswordMustChange(Unauthorised):
    """Somebody else set this password: nothing but a new one is taken."""
