"""The simulated HIS: a real socket that speaks HL7 v2.5 over MLLP and knows a few invented persons."""

import socket
import socketserver
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.errors import LinkLost
from common.links import mllp

PATIENCE_S = 5.0


@dataclass(frozen=True)
class Person:
    """One invented person; birth_date as YYYYMMDD, patient_class I (in) or O (out)."""

    hospital_number: str
    id_card: str
    family: str
    given: str
    birth_date: str
    sex: str
    phone: str = ""
    address: str = ""
    patient_class: str = "O"
    ward: str = ""
    bed: str = ""


PERSONS = (
    Person(
        "ZY0012345", "11010519491231002X", "韩", "梅梅", "19491231", "F",
        "13912345678", "幸福路 1 号", "I", "放疗一病区", "12",
    ),
    Person("MZ0054321", "440524188001010014", "李", "雷", "18800101", "M"),
)  # fmt: skip


@dataclass
class Manner:
    """How the peer behaves: `delay_s` before an answer; `broken`: what it sends instead of one."""

    delay_s: float = 0.0
    broken: str | None = None
    asked: list[str] = field(default_factory=list)


class HisServer:
    """Listens on the loopback interface until closed."""

    def __init__(self, persons: Sequence[Person] = PERSONS, port: int = 0) -> None:
        """Raises OSError when the port is taken."""
        self.manner = Manner()
        known = {person.hospital_number: person for person in persons}
        known |= {person.id_card: person for person in persons}
        self._server = _Server(("127.0.0.1", port), known, self.manner)
        self._thread = threading.Thread(target=self._server.serve_forever, name="his", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], known: Mapping[str, Person], manner: Manner) -> None:
        super().__init__(address, _Handler)
        self.known, self.manner = known, manner


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        link: socket.socket = self.request
        try:
            question = mllp.receive(link, time.monotonic() + PATIENCE_S)
        except (OSError, LinkLost):
            return
        self.server.manner.asked.append(question)
        time.sleep(self.server.manner.delay_s)
        broken = self.server.manner.broken
        reply = answer(question, self.server.known) if broken is None else broken
        try:
            link.sendall(mllp.framed(reply))
        except OSError:
            return  # the desk went on by hand


def answer(question: str, known: Mapping[str, Person]) -> str:
    """RSP^K22 to QBP^Q22: a PID segment for one of the `known`, NF for others, AE for no query."""
    rows = {row[:3]: row.split("|") for row in question.split("\r") if row}
    header, query = rows.get("MSH", []), rows.get("QPD", [])
    if len(header) < 10 or len(query) < 4 or header[8].split("^")[:2] != ["QBP", "Q22"]:
        return _message(header, "AE", "AE", query, None)
    wanted = next((part.split("^")[1] for part in query[3].split("~") if part.startswith("@PID.3.1^")), "")
    person = known.get(wanted)
    return _message(header, "AA", "OK" if person else "NF", query, person)


def _message(
    header: Sequence[str], code: str, status: str, query: Sequence[str], person: Person | None
) -> str:
    tag = header[9] if len(header) > 9 else ""
    rows = [
        f"MSH|^~\\&|HIS|HOSPITAL|PTCS_OIS|RT|20261123080000||RSP^K22^RSP_K21|H{tag}|P|2.5"
        "|||||CHN|UNICODE UTF-8",
        f"MSA|{code}|{tag}",
        f"QAK|{query[2] if len(query) > 2 else ''}|{status}|IHE PDQ Query|{1 if person else 0}",
        "|".join(query) or "QPD|",
    ]
    if person is not None:
        numbers = f"{person.hospital_number}^^^HIS^MR~{person.id_card}^^^MPS^NNCHN"
        rows += [
            f"PID|1||{numbers}||{_safe(person.family)}^{_safe(person.given)}||{person.birth_date}|{person.sex}"
            f"|||{_safe(person.address)}||{_safe(person.phone)}",
            f"PV1|1|{person.patient_class}|{_safe(person.ward)}^^{_safe(person.bed)}",
        ]
    return "\r".join(rows) + "\r"


def _safe(text: str) -> str:
    """A text in a field, its delimiters escaped (HL7 v2.5, 2.7)."""
    for character, escape in (("\\", "E"), ("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        text = text.replace(character, f"\\{escape}\\")
    return text
