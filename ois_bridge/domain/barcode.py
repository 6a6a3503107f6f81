"""Barcodes of patients by a department's rule: prefix, day, serial number, check character."""

from dataclasses import dataclass
from datetime import date

from common.errors import BadConfig, BadInput
from common.text import _

CHECKS = ("none", "mod10", "mod11")
_DAYS = {"none": "", "year": "%y", "month": "%y%m", "day": "%y%m%d"}


@dataclass(frozen=True)
class BarcodeRule:
    """`day`: none, year, month or day, after which the serial number begins anew. `digits`: of the serial.

    `check`: mod10 (Luhn, ISO/IEC 7812-1 annex B), mod11 (ISO 7064 MOD 11-2, which may be X) or none,
    over all digits before it.
    """

    prefix: str = "P"
    day: str = "day"
    digits: int = 4
    check: str = "mod10"

    def series(self, today: date) -> str:
        """What stands before the serial number; each has its own count."""
        return self.prefix + today.strftime(_DAYS[self.day])

    def make(self, today: date, serial: int) -> str:
        """The barcode of a serial number. Raises BadConfig when the number has more digits than the rule."""
        if len(str(serial)) > self.digits:
            raise BadConfig(
                _("Barcodes: the serial number {n} does not fit into {d} digits; change the rule.").format(
                    n=serial, d=self.digits
                )
            )
        body = f"{self.series(today)}{serial:0{self.digits}d}"
        return body + check_character(body, self.check)

    def verify(self, code: str) -> str:
        """The code as it is kept. Raises BadInput when its check character does not fit."""
        code = code.strip().upper()
        if self.check != "none" and (
            len(code) < 2 or check_character(code[:-1], self.check) != code[-1] or not code.isascii()
        ):
            raise BadInput(_("Barcode: the check character does not fit; scan it again."))
        return code


def check_character(body: str, check: str) -> str:
    """The check character of the digits in `body`; empty for the check none."""
    digits = [int(character) for character in body if character.isascii() and character.isdigit()]
    if check == "mod10":
        doubled = [2 * digit if place % 2 == 0 else digit for place, digit in enumerate(reversed(digits))]
        return str(-sum(value // 10 + value % 10 for value in doubled) % 10)
    if check == "mod11":
        rest = 0
        for digit in digits:
            rest = (rest + digit) * 2 % 11
        return "0123456789X"[(12 - rest) % 11]
    return ""
