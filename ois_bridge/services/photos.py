"""Photos of patients: checked, made small, kept for good."""

import io

from sqlalchemy import select

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.base import new_key
from ois_bridge.models.clinical import Patient
from ois_bridge.models.registration import PatientChange
from ois_bridge.services import access
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.errors import NotFound

MOST_BYTES = 8 * 1024 * 1024
MOST_PIXELS = 50_000_000
SIDE = 480
KINDS = ("JPEG", "PNG", "WEBP")
ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "GIF": b";"}
"""How files end; a WebP file says its length instead."""


def checked(content: bytes) -> bytes:
    """The picture as a JPEG of at most SIDE x SIDE pixels, without the place and time that cameras add.

    Raises BadInput for what is no picture, or too big.
    """
    # loading the codecs takes a moment: not before the first photo
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415

    if len(content) > MOST_BYTES:
        raise BadInput(_("Photo: at most {n} MB are taken.").format(n=MOST_BYTES // 1024 // 1024))
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadInput(_("Photo: it has too many pixels; take a smaller one."))
            if not whole(content, str(picture.format)):
                raise BadInput(_("Photo: the file ends in the middle of the picture; send it again."))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            upright.thumbnail((SIDE, SIDE))
            kept = io.BytesIO()
            upright.save(kept, "JPEG", quality=88)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as why:
        raise BadInput(_("Photo: this is no JPEG, PNG or WebP picture.")) from why
    return kept.getvalue()


def whole(content: bytes, kind: str) -> bool:
    """Whether a picture file has its end: the PDF renderer makes the reader of pictures accept less.

    kind: JPEG, PNG, WEBP or GIF.
    """
    if kind == "WEBP":
        return len(content) >= 8 + int.from_bytes(content[4:8], "little")
    return ENDS[kind] in content[-1024:]


def new_path() -> str:
    """A place in the store that tells nothing of the patient."""
    key = new_key()
    return f"{key[:2]}/{key}.jpg"


def of_patient(context: Context, caller: Caller, key: str) -> bytes:
    """A patient's photo (JPEG). Raises NotFound where there is none."""
    with context.reading(caller, Action.READ_PATIENTS) as session:
        access.check(session, caller, key, context)
        path = session.scalar(select(Patient.photo).where(Patient.key == key))
    if not path:
        raise NotFound(_("There is no photo of this patient."))
    return context.desk.photos.read(path)


def sweep(context: Context) -> int:
    """Remove files that no row knows, now or from before; returns how many. Called at start."""
    with context.database.reading() as session:
        known = set(session.scalars(select(Patient.photo).where(Patient.photo != "")))
        known |= set(session.scalars(select(PatientChange.old).where(PatientChange.field == "photo")))
    return context.desk.photos.sweep(known)
