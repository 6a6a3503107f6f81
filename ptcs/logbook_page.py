"""Logbook entries as text: Markdown to keep, HTML to print."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from common.text import _, language, translated

STYLE = """
@page { size: A4; margin: 18mm 15mm; @bottom-right { content: counter(page) "/" counter(pages) } }
body { font-family: "DejaVu Sans", "Noto Sans CJK SC", sans-serif; font-size: 9.5pt; color: #1a1a1a }
h1 { font-size: 15pt; margin: 0 0 4mm }
article { border-top: 0.3mm solid #bbb; padding: 2.5mm 0; break-inside: avoid }
h2 { font-size: 11pt; margin: 0 0 1mm } .head { color: #555; font-size: 8.5pt }
.text { white-space: pre-wrap; margin: 1.5mm 0 }
.tag { background: #eef2f5; border-radius: 1mm; padding: 0 1.2mm; margin-right: 1mm; font-size: 8.5pt }
"""


def when(text: str) -> str:
    """ISO 8601 as local time for people."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def author(entry: Mapping[str, Any]) -> str:
    """Who wrote it: a user, a service for a user, or a service."""
    if entry["source"] == "hand":
        return str(entry["user"])
    source = _(str(entry["source"]))
    return f"{entry['user']} ({source})" if entry["user"] else source


def head(entry: Mapping[str, Any]) -> str:
    """Number, time, author and kind on one line."""
    version = _(", version {number}").format(number=entry["version"]) if entry["version"] > 1 else ""
    return f"#{entry['number']}{version} · {when(entry['time'])} · {author(entry)} · {_(entry['kind'])}"


def _files(entry: Mapping[str, Any]) -> list[str]:
    return [
        f"{file['name']} ({file['size']} B, SHA-256 {file['sha256'][:16]})" for file in entry["attachments"]
    ]


def markdown(entries: Iterable[Mapping[str, Any]], title: str) -> str:
    """A Markdown text of entries, in the order given."""
    parts = [f"# {title}", ""]
    for entry in map(translated, entries):
        parts += [f"## {entry['title']}", "", head(entry), ""]
        if entry["text"]:
            parts += [entry["text"], ""]
        for label, words in (
            (_("tags"), entry["tags"]),
            (_("about"), entry["about"]),
            (_("files"), _files(entry)),
        ):
            if words:
                parts.append(f"- {label}: {', '.join(words)}")
        if entry["reason"]:
            parts.append(f"- {_('amended because')}: {entry['reason']}")
        parts.append("")
    return "\n".join(parts)


def html(entries: Iterable[Mapping[str, Any]], title: str) -> str:
    """A page to print."""
    articles = "\n".join(_article(translated(entry)) for entry in entries)
    printed = _("printed {time}").format(time=f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M}")
    return (
        f'<!doctype html><html lang="{language()}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p class=head>{escape(printed)}</p>"
        f"{articles}</body></html>"
    )


def _article(entry: Mapping[str, Any]) -> str:
    tags = "".join(f"<span class=tag>{escape(word)}</span>" for word in [*entry["tags"], *entry["about"]])
    files = "".join(f"<div class=head>{escape(line)}</div>" for line in _files(entry))
    reason = f"{_('amended because')}: {entry['reason']}" if entry["reason"] else ""
    return (
        f"<article><h2>{escape(entry['title'])}</h2><div class=head>{escape(head(entry))}</div>"
        f"<div class=text>{escape(entry['text'])}</div>{tags}{files}"
        f"<div class=head>{escape(reason)}</div></article>"
    )
