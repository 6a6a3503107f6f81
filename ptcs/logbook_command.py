"""`ptcs logbook`: entries by hand and by services, searched, shown, exported."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.errors import BadInput
from common.files import write_atomic
from common.links import pdf
from common.text import _, translated
from ptcs.logbook_page import author, head, html, markdown, when
from ptcs.options import json_option, password_option, user_option
from ptcs.running import state_option
from ptcs.service_calls import reading, writing

KIND = "Logbook"
MOST = 1000
console = Console(highlight=False, soft_wrap=True)
about_option = click.option(
    "--about", "abouts", multiple=True, help="Device or other name; several are possible."
)
tag_option = click.option("--tag", "tags", multiple=True, help="Word to find it by; several are possible.")
file_option = click.option(
    "--file", "files", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Attach a file; several are possible.",
)  # fmt: skip


@click.group()
def logbook() -> None:
    """The logbook of the machine."""


@logbook.command()
@click.argument("title")
@click.option("--text", default="", help="Markdown; - reads it from standard input.")
@click.option("--kind", default="note", show_default=True)
@tag_option
@about_option
@file_option
@state_option
@user_option
@password_option
def add(state: Path, title: str, text: str, user: str, password: str, **more: Any) -> None:
    """Make an entry called TITLE in one's own name."""
    wish = {
        "title": title,
        "text": sys.stdin.read() if text == "-" else text,
        "kind": more["kind"],
        "tags": list(more["tags"]),
        "about": list(more["abouts"]),
        "attachments": [_attached(path) for path in more["files"]],
    }
    with writing(state, KIND, user, password) as service:
        console.print(_("entry {number}").format(number=service.ask("Add", wish)))


@logbook.command()
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why it is amended.")
@click.option("--title", default=None)
@click.option("--text", default=None, help="Markdown; - reads it from standard input.")
@tag_option
@file_option
@state_option
@user_option
@password_option
def amend(state: Path, number: int, reason: str, user: str, password: str, **more: Any) -> None:
    """Make a new version of entry NUMBER; the old one is kept."""
    wish: dict[str, Any] = {"number": number, "reason": reason}
    if more["title"] is not None:
        wish["title"] = more["title"]
    if more["text"] is not None:
        wish["text"] = sys.stdin.read() if more["text"] == "-" else more["text"]
    if more["tags"]:
        wish["tags"] = list(more["tags"])
    wish["attachments"] = [_attached(path) for path in more["files"]]
    with writing(state, KIND, user, password) as service:
        told = {"number": number, "version": service.ask("Amend", wish)}
        console.print(_("entry {number}, version {version}").format(**told))


@logbook.command(name="list")
@click.option("--kind", default="")
@click.option("--tag", default="")
@click.option("--about", default="", help="Device or other name.")
@click.option("--limit", default=30, show_default=True)
@state_option
@json_option
def list_(state: Path, kind: str, tag: str, about: str, limit: int, as_json: bool) -> None:
    """The latest entries."""
    _print(_found(state, {"kind": kind, "tag": tag, "about": about, "limit": limit}), as_json=as_json)


@logbook.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--kind", default="")
@click.option("--by", default="", help="User who wrote it.")
@click.option("--from", "start", default="", help="ISO 8601, such as 2026-11-01.")
@click.option("--to", "end", default="", help="ISO 8601.")
@click.option("--limit", default=30, show_default=True)
@state_option
@json_option
def search(state: Path, text: tuple[str, ...], as_json: bool, **wish: Any) -> None:
    """Entries that have all words of TEXT: beginnings of words, any Chinese characters, "a phrase"."""
    terms = {"text": " ".join(text), "kind": wish["kind"], "user": wish["by"], "from": wish["start"]}
    _print(_found(state, {**terms, "to": wish["end"], "limit": wish["limit"]}), as_json=as_json)


@logbook.command()
@click.argument("number", type=int)
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), default=None, help="Folder for its files."
)
@state_option
@json_option
def show(state: Path, number: int, save: Path | None, as_json: bool) -> None:
    """Entry NUMBER with its earlier versions."""
    service = reading(state, KIND)
    versions = service.ask("Show", number)
    if as_json:
        click.echo(json.dumps(versions, indent=2, ensure_ascii=False))
    else:
        for entry in versions:
            _print_whole(translated(entry))
    for file in versions[0]["attachments"] if save else ():
        content = base64.b64decode(service.ask_text("File", {"number": number, "name": file["name"]}))
        assert save is not None
        write_atomic(save / file["name"], content)
        console.print(str(save / file["name"]))


@logbook.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--text", default="", help="Only entries that have these words.")
@click.option("--from", "start", default="", help="ISO 8601, such as 2026-11-01.")
@click.option("--to", "end", default="", help="ISO 8601.")
@state_option
def export(state: Path, path: Path, text: str, start: str, end: str) -> None:
    """Write entries to PATH, oldest first: .md is Markdown, .pdf to print, .json everything."""
    rows = _found(state, {"text": text, "from": start, "to": end, "limit": MOST})[::-1]
    title = _("Logbook")
    if path.suffix == ".pdf":
        pdf.render(html(rows, title), path)
    elif path.suffix == ".md":
        write_atomic(path, markdown(rows, title).encode())
    elif path.suffix == ".json":
        write_atomic(path, json.dumps(rows, indent=2, ensure_ascii=False).encode())
    else:
        raise BadInput(_("{path}: allowed are .md, .pdf and .json").format(path=path))
    console.print(_("{count} entries in {path}").format(count=len(rows), path=path))
    if len(rows) == MOST:
        console.print(_("there may be more: choose a shorter time"))


def _found(state: Path, wish: dict[str, Any]) -> list[dict[str, Any]]:
    return list(reading(state, KIND).ask("Find", wish))


def _attached(path: Path) -> dict[str, str]:
    return {"name": path.name, "content": base64.b64encode(path.read_bytes()).decode()}


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("#", _("date and time"), _("by"), _("kind"), _("title")):
        table.add_column(heading)
    for row in map(translated, rows):
        title = row["title"] + (" 📎" if row["attachments"] else "")
        words = (str(row["number"]), when(row["time"]), author(row), _(row["kind"]), title)
        table.add_row(*map(escape, words))
    console.print(table)


def _print_whole(entry: dict[str, Any]) -> None:
    console.print(f"[bold]{escape(entry['title'])}[/]")
    console.print(f"[dim]{escape(head(entry))}[/]")
    if entry["text"]:
        console.print(escape(entry["text"]))
    for label, words in ((_("tags"), entry["tags"]), (_("about"), entry["about"])):
        if words:
            console.print(f"[dim]{label}:[/] {escape(', '.join(words))}")
    for file in entry["attachments"]:
        console.print(f"📎 {escape(file['name'])} ({file['size']} B)")
    if entry["reason"]:
        console.print(f"[dim]{_('amended because')}:[/] {escape(entry['reason'])}")
    console.print("")
