"""The number of a resident identity card (GB 11643-1999), and numbers of other documents."""

import re
from dataclasses import dataclass
from datetime import date

from common.errors import BadInput
from common.text import _

_CARD = re.compile(r"[1-9]\d{16}[\dX]")
_OTHER = re.compile(r"[A-Z][A-Z0-9-]{3,30}[A-Z0-9]")
_LAST = "10X98765432"
"""Check character by the remainder of the weighted sum (ISO 7064, MOD 11-2)."""


@dataclass(frozen=True)
class IdCard:
    """A number in its normal form. birth_date (YYYYMMDD) and sex (M, F) are empty for another document."""

    number: str
    birth_date: str = ""
    sex: str = ""


def checked(text: str, today: date) -> IdCard:
    """A card's 18 characters, or the number of another document, which begins with a letter (a passport).

    Raises BadInput for a wrong length, an impossible birth date or a check character that does not fit.
    """
    number = re.sub(r"\s", "", text).upper()
    if _OTHER.fullmatch(number):
        return IdCard(number)
    if not _CARD.fullmatch(number):
        raise BadInput(
            _("Id card: 18 characters are needed, 17 digits and a digit or X; {n} were given.").format(
                n=len(number)
            )
            + " "
            + _("The number of another document begins with a letter.")
        )
    born = number[6:14]
    if not _is_past_day(born, today):
        raise BadInput(_("Id card: characters 7 to 14 are no past date; read the number again."))
    if number[17] != check_character(number[:17]):
        raise BadInput(_("Id card: the last character does not fit the others; read the number again."))
    return IdCard(number, born, "M" if int(number[16]) % 2 else "F")


def check_character(digits: str) -> str:
    """The 18th character after 17 digits: weights 2^(18-i) modulo 11 (GB 11643-1999, 6.1)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(digits))
    return _LAST[total % 11]


def masked(number: str) -> str:
    """A number as it stands on paper that others see: beginning and end only."""
    return number if len(number) < 8 else number[:4] + "*" * (len(number) - 8) + number[-4:]


def _is_past_day(text: str, today: date) -> bool:
    try:
        born = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return today.year - 130 <= born.year and born <= today
