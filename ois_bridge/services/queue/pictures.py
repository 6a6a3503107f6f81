"""Pictures and animations of the waiting hall: checked, encoded anew, shown while nobody is called."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from ois_bridge.domain.form_content import readable
from ois_bridge.domain.permissions import Action
from ois_bridge.models.pictures import ScreenPicture
from ois_bridge.services import events, photos
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 20 * 1024 * 1024
KEPT_BYTES = 6 * 1024 * 1024
MOST_PICTURES = 20
MOST_FRAMES = 150
MOST_PIXELS = 40_000_000
SIZE = (1920, 1080)
KINDS = ("JPEG", "PNG", "WEBP", "GIF")
SECONDS = (3, 120)


def all_of_them(session: Session) -> Sequence[ScreenPicture]:
    """The pictures without their content, in the order in which they came."""
    return session.scalars(select(ScreenPicture).order_by(ScreenPicture.created, ScreenPicture.key)).all()


def shown(session: Session) -> Sequence[ScreenPicture]:
    """Those that the screens show."""
    return [row for row in all_of_them(session) if row.active]


def add(context: Context, caller: Caller, name: str, seconds: int, content: bytes) -> ScreenPicture:
    """Take a picture in. Raises BadInput for what is none, too big or too long, Refused for one too many."""
    if not 1 <= len(readable(name.strip(), _("Name"))) <= 80 or not SECONDS[0] <= seconds <= SECONDS[1]:
        raise BadInput(
            _("A name of 1 to 80 characters and {a} to {b} seconds are needed.").format(
                a=SECONDS[0], b=SECONDS[1]
            )
        )
    caller.check(Action.MANAGE_SCREENS)
    encoded, animated = encode(content)
    with context.permitted(caller, Action.MANAGE_SCREENS, f"picture {name.strip()}") as session:
        if (session.scalar(select(func.count()).select_from(ScreenPicture)) or 0) >= MOST_PICTURES:
            raise Refused(_("At most {n} pictures are kept; remove one first.").format(n=MOST_PICTURES))
        row = ScreenPicture(
            name=name.strip(),
            seconds=seconds,
            size=len(encoded),
            animated=animated,
            active=True,
            created=context.now(),
            created_by=caller.user,
            content=encoded,
        )
        session.add(row)
        events.announce(session, "screens", "pictures")
    return row


def switch(context: Context, caller: Caller, key: str, active: bool) -> None:
    """Show a picture, or leave it out for a while. Raises NotFound."""
    with context.permitted(caller, Action.MANAGE_SCREENS, f"picture {key}", str(active)) as session:
        must(session.get(ScreenPicture, key)).active = active
        events.announce(session, "screens", "pictures")


def remove(context: Context, caller: Caller, key: str) -> None:
    """Remove a picture. Raises NotFound."""
    with context.permitted(caller, Action.MANAGE_SCREENS, f"picture {key}", "remove") as session:
        session.delete(must(session.get(ScreenPicture, key)))
        events.announce(session, "screens", "pictures")


def content_of(context: Context, caller: Caller, key: str) -> bytes:
    """A picture (WebP), for screens and for who manages them. Raises NotFound, Unauthorised."""
    action = Action.LOOK_AT_SCREEN if "screen" in caller.roles else Action.MANAGE_SCREENS
    with context.reading(caller, action) as session:
        return must(session.get(ScreenPicture, key)).content


def encode(content: bytes) -> tuple[bytes, bool]:
    """The picture as WebP of at most SIZE, without what else its file carried; whether it moves.

    Raises BadInput.
    """
    # loading the codecs takes a moment: not before the first picture
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    if len(content) > MOST_BYTES:
        raise BadInput(_("Picture: at most {n} MB are taken.").format(n=MOST_BYTES // 1024 // 1024))
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as picture:
            if not photos.whole(content, str(picture.format)):
                raise BadInput(_("Picture: the file ends in the middle of it; send it again."))
            kept, animated = _encoded(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as why:
        raise BadInput(_("Picture: this is no JPEG, PNG, WebP or GIF picture.")) from why
    if len(kept) > KEPT_BYTES:
        raise BadInput(_("Picture: this animation is too long or too detailed; take a shorter one."))
    return kept, animated


def _encoded(picture: "Image.Image") -> tuple[bytes, bool]:
    from PIL import ImageOps, ImageSequence  # noqa: PLC0415

    count = getattr(picture, "n_frames", 1)
    if picture.width * picture.height * count > MOST_PIXELS * (4 if count > 1 else 1):
        raise BadInput(_("Picture: it has too many pixels; take a smaller one."))
    if count > MOST_FRAMES:
        raise BadInput(_("Picture: an animation has at most {n} frames.").format(n=MOST_FRAMES))
    frames, times = [], []
    for frame in ImageSequence.Iterator(picture):
        times.append(max(20, int(frame.info.get("duration", 100))))
        one = ImageOps.exif_transpose(frame).convert("RGB")
        one.thumbnail(SIZE)
        frames.append(one)
    kept = io.BytesIO()
    if count > 1:
        frames[0].save(
            kept, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=75
        )
    else:
        frames[0].save(kept, "WEBP", quality=82)
    return kept.getvalue(), count > 1
