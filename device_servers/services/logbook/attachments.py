"""Files of entries: named by their SHA-256, of a known type, not too large."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import Refused, Tampered
from common.files import write_atomic
from common.text import _
from device_servers.services.logbook.entry import Attachment

LARGEST = 8 << 20
MOST = 10


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(marks)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


TYPES: Mapping[str, tuple[str, Callable[[bytes], bool]]] = {
    ".png": ("image/png", _begins(b"\x89PNG\r\n\x1a\n")),
    ".jpg": ("image/jpeg", _begins(b"\xff\xd8\xff")),
    ".jpeg": ("image/jpeg", _begins(b"\xff\xd8\xff")),
    ".pdf": ("application/pdf", _begins(b"%PDF-")),
    ".h5": ("application/x-hdf5", _begins(b"\x89HDF\r\n\x1a\n")),
    ".txt": ("text/plain", _is_text),
    ".md": ("text/markdown", _is_text),
    ".csv": ("text/csv", _is_text),
    ".json": ("application/json", _is_json),
}
"""Ending of a name -> media type, and whether content is of it."""


class Attachments:
    """`STATE/logbook/attachments`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, wishes: Any) -> tuple[Attachment, ...]:
        """Keep [{"name", "content": base64}, ...]. Raises Refused for what may not be attached."""
        if not isinstance(wishes or [], list) or len(wishes or []) > MOST:
            raise Refused(_("an entry has up to {count} attachments").format(count=MOST))
        files = [_checked(wish) for wish in wishes or []]
        return tuple(self._keep(name, content) for name, content in files)

    def read(self, attachment: Attachment) -> bytes:
        """A file's content. Raises Tampered when it is gone or changed."""
        try:
            content = self._path(attachment.sha256).read_bytes()
        except OSError as why:
            raise Tampered(
                _("attachment {name} is gone: {why}").format(name=attachment.name, why=why)
            ) from why
        if hashlib.sha256(content).hexdigest() != attachment.sha256:
            raise Tampered(_("attachment {name} was changed").format(name=attachment.name))
        return content

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256

    def _keep(self, name: str, content: bytes) -> Attachment:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self._path(sha256).exists():
            try:
                write_atomic(self._path(sha256), content, mode=0o444)
            except OSError as why:
                raise Refused(
                    _("it cannot be kept ({why}); free disk space, then try again").format(why=why)
                ) from why
        return Attachment(name, sha256, len(content), TYPES[Path(name).suffix.lower()][0])


def _checked(wish: Any) -> tuple[str, bytes]:
    """Name and content of a wish. Raises Refused."""
    if not isinstance(wish, dict) or not isinstance(wish.get("name"), str):
        raise Refused(_('an attachment is {"name", "content": base64}'))
    name = wish["name"]
    if name != Path(name).name or not 0 < len(name) <= 120 or name.startswith("."):
        raise Refused(_("{name!r} is no name of a file").format(name=name))
    kind = TYPES.get(Path(name).suffix.lower())
    if kind is None:
        text = _("{name}: allowed are files {types}")
        raise Refused(text.format(name=name, types=", ".join(TYPES)))
    try:
        content = base64.b64decode(str(wish.get("content", "")), validate=True)
    except ValueError as why:
        raise Refused(_("{name}: the content is not base64").format(name=name)) from why
    if len(content) > LARGEST:
        raise Refused(_("{name}: allowed are {size} MiB").format(name=name, size=LARGEST >> 20))
    if not kind[1](content):
        raise Refused(_("{name}: the content is not {type}").format(name=name, type=kind[0]))
    return name, content
