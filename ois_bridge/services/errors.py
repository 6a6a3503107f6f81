"""Refusals that the borders answer differently: not logged in, not found; errors that are read later."""

from common.errors import LinkLost, PtcsError, Refused, Unauthorised
from common.text import _


class Coded(PtcsError):
    """An error that is kept and read later, in the reader's language. `text`: an English msgid with places,
    `values`: what stands in them.
    """

    def __init__(self, text: str, **values: str | int) -> None:
        super().__init__(_(text).format(**values))
        self.text, self.values = text, values


class ReceiverAway(Coded, LinkLost):
    """Who takes our messages does not answer, or cannot take one now."""


class ReceiverRefuses(Coded, Refused):
    """Who takes our messages does not take this one, now or later."""


class NotLoggedIn(Unauthorised):
    """Nobody, or a token or session whose time is over."""


class NotFound(Refused):
    """No such thing in the OIS."""


class PasswordMustChange(Unauthorised):
    """Somebody else set this password: nothing but a new one is taken."""
