"""The hospital information system over HL7 v2.5 (IHE PDQ: QBP^Q22 asks, RSP^K22 answers)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import BadInput, LinkLost
from common.links import mllp
from common.text import _
from ois_bridge.domain import chinese
from ois_bridge.services.ports import Demographics

SEX = {"M": "M", "F": "F", "O": "O", "A": "O"}
CLASS = {"I": "inpatient"}
_CHARACTERS = re.compile(r"[A-Za-z0-9-]{1,32}")


@dataclass(frozen=True)
class NoHis:
    """No system is configured."""

    connected: bool = False

    def find(self, _hospital_number: str, _id_card: str) -> Demographics | None:
        """Raises LinkLost."""
        raise LinkLost(_("No hospital system is connected; enter the patient's data by hand."))


@dataclass(frozen=True)
class Hl7His:
    """A peer that answers patient demographics queries."""

    host: str
    port: int
    timeout_s: float = 1.8
    connected: bool = True

    def find(self, hospital_number: str, id_card: str) -> Demographics | None:
        """The person with the hospital number or else the id card; None where the system knows none.

        Raises LinkLost, BadInput.
        """
        number = (hospital_number or id_card).strip()
        if not _CHARACTERS.fullmatch(number):
            raise BadInput(_("Hospital number or id card: letters, digits and - are allowed."))
        kind = "MR" if hospital_number.strip() else "NNCHN"
        try:
            answer = mllp.call(self.host, self.port, _query(number, kind), self.timeout_s)
        except LinkLost as why:
            raise LinkLost(_("The hospital system does not answer; enter the data by hand.")) from why
        return _read(answer)


def _query(number: str, kind: str) -> str:
    """QPD-3 names the identifier and its kind: MR hospital number, NNCHN Chinese id card (HL7 table 0203)."""
    # the library takes a moment to load: not before the first question
    from hl7 import generate_message_control_id  # noqa: PLC0415

    moment = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    tag = generate_message_control_id()
    return "\r".join(
        (
            f"MSH|^~\\&|PTCS_OIS|RT|HIS|HOSPITAL|{moment}||QBP^Q22^QBP_Q21|{tag}|P|2.5|||||CHN|UNICODE UTF-8",
            f"QPD|IHE PDQ Query|{tag}|@PID.3.1^{number}~@PID.3.5^{kind}",
            "RCP|I|1^RD",
        )
    ) + "\r"  # fmt: skip


def _read(answer: str) -> Demographics | None:
    import hl7  # noqa: PLC0415

    try:
        message = hl7.parse(answer)
        status = str(message.segment("QAK")[2])
        found = [segment for segment in message if str(segment[0]) == "PID"]
        if status in ("AE", "AR"):
            raise LinkLost(_("The hospital system refused the question; enter the patient's data by hand."))
        if status == "NF" or not found:
            return None
        return _person(message)
    except (hl7.HL7Exception, KeyError, IndexError, ValueError) as why:
        raise BadInput(
            _("The hospital system's answer cannot be read; enter the patient's data by hand.")
        ) from why


def _person(message: "hl7.Message") -> Demographics:  # type: ignore[name-defined]  # noqa: F821
    def part(place: str) -> str:
        try:
            return str(message.extract_field(*_place(place)) or "").strip()
        except (LookupError, ValueError):
            return ""

    numbers = _identifiers(message)
    family, given = part("PID.5.1"), part("PID.5.2")
    name = family + given if chinese.is_chinese(family + given) else "^".join(filter(None, (family, given)))
    return Demographics(
        hospital_number=numbers.get("MR", ""),
        id_card=numbers.get("NNCHN", ""),
        name=name,
        birth_date=part("PID.7.1")[:8],
        sex=SEX.get(part("PID.8.1"), ""),
        phone=part("PID.13.1"),
        address=part("PID.11.1"),
        source=CLASS.get(part("PV1.2.1"), "outpatient"),
        ward=part("PV1.3.1"),
        bed=part("PV1.3.3"),
    )


def _identifiers(message: "hl7.Message") -> dict[str, str]:  # type: ignore[name-defined]  # noqa: F821
    """Identifier type -> identifier, of the repetitions of PID-3."""
    found = {}
    for repetition in str(message.segment("PID")[3]).split("~"):
        parts = repetition.split("^")
        found[parts[4] if len(parts) > 4 else "MR"] = parts[0]
    return found


def _place(text: str) -> tuple[str, int, int, int, int]:
    """`PID.5.1` as segment, its number, field, repetition, component."""
    segment, field, component = text.split(".")
    return segment, 1, int(field), 1, int(component)
