"""The reference page of the session, generated from its table (`docs/reference/session.md`)."""

from collections.abc import Iterator

from treatment.session import REPORTED, TABLE, Event, State

_HEAD = """# The treatment session

Generated from `treatment/session.py` by `python -m treatment.diagram`; a test compares the two.
Names in brackets are reports of the hardware or of the session itself; `Fault` leads from every state to
FAULT and is left out of the picture.
"""


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> IDLE"]
    lines += [f"    {state} --> {after}: {_label(event)}" for state, event, after in _arrows()]
    return "\n".join(lines)


def table() -> str:
    """The table as Markdown: one row a state, its events and where they lead."""
    rows = ["| state | event -> next |", "|---|---|"]
    for state, row in TABLE.items():
        steps = ", ".join(f"{event} -> {after}" for event, after in row.items())
        rows.append(f"| {state} | {steps} |")
    return "\n".join(rows)


def page() -> str:
    """The whole page as Markdown."""
    reported = ", ".join(f"`{event}`" for event in Event if event in REPORTED)
    return (
        f"{_HEAD}\n```mermaid\n{mermaid()}\n```\n\n{table()}\n\n"
        f"Reported, never asked for by a user: {reported}.\n"
    )


def _arrows() -> Iterator[tuple[State, Event, State]]:
    for state, row in TABLE.items():
        for event, after in row.items():
            if event is not Event.FAULT:
                yield state, event, after


def _label(event: Event) -> str:
    return f"({event})" if event in REPORTED else str(event)


if __name__ == "__main__":
    from pathlib import Path

    target = Path(__file__).resolve().parent.parent / "docs" / "reference" / "session.md"
    target.write_text(page(), encoding="utf-8")
