"""SCPI-like lines for instruments: `MEAS:TEMP?` -> `+2.1530E+01`. Bytes in, lines out."""

from collections.abc import Iterator

from common.errors import BadInput

MAX_LINE = 1024


class LineDecoder:
    """Collects bytes and hands out whole lines without their ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """Add received bytes; yield each completed line. Raises BadInput for an endless or non-ASCII one."""
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            try:
                yield line.decode("ascii")
            except UnicodeDecodeError as why:
                raise BadInput("instrument line is not ASCII") from why
        if len(self._buffer) > MAX_LINE:
            raise BadInput(f"instrument line longer than {MAX_LINE} B")


def query(header: str) -> bytes:
    """The bytes that ask for a value: `query("MEAS:TEMP")`."""
    return f"{header}?\n".encode("ascii")


def command(header: str, argument: str) -> bytes:
    """The bytes that set something: `command("INST:SEL", "room1-environment")`."""
    return f"{header} {argument}\n".encode("ascii")


def answer(value: float) -> bytes:
    """The bytes that carry a number back."""
    return f"{value:+.6E}\n".encode("ascii")


def number(line: str) -> float:
    """The number in an answer. Raises BadInput for anything else."""
    try:
        return float(line)
    except ValueError as why:
        raise BadInput(f"instrument answered {line!r}, not a number") from why
