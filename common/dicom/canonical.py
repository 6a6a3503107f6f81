"""The one encoding of a data set that survives every honest transport, and its digest.

Canonical form: Explicit VR Little Endian (PS3.5 7.1.2), elements in order of their tags, sequences and items
of defined length, without group 2, group lengths and trailing padding. What a transfer syntax may change
is made equal: a public element has its VR from the data dictionary (PS3.6); a private one, and one that the
dictionary does not know, has UN, because Implicit VR loses their VR (a private sequence is then the bytes
of its Implicit VR encoding, PS3.5 6.2.2). Texts lose trailing padding. Values are never rounded.
"""

import hashlib
import struct
from io import BytesIO

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_sequence
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from common.errors import BadDicom

_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_ITEM = b"\xfe\xff\x00\xe0"
_TRAILING_PADDING = 0xFFFCFFFC
_SHORT_LIMIT = 0xFFFF


def plan_hash(ds: Dataset) -> str:
    """SHA-256, in hex, over the canonical encoding of a data set. Raises BadDicom when it is damaged."""
    return hashlib.sha256(canonical(ds)).hexdigest()


def canonical(ds: Dataset) -> bytes:
    """The canonical encoding. Raises BadDicom when a value cannot be decoded."""
    try:
        return _encode(ds, explicit=True, encodings=["iso8859"])
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        NotImplementedError,
        EOFError,
        struct.error,
    ) as why:
        raise BadDicom(
            f"object cannot be encoded ({type(why).__name__}): it is damaged; send it again"
        ) from why


def _encode(ds: Dataset, *, explicit: bool, encodings: list[str]) -> bytes:
    charset = ds.get("SpecificCharacterSet")
    own = convert_encodings(charset) if charset else encodings
    return b"".join(
        _element(ds[tag], ds, explicit, own) for tag in sorted(ds.keys()) if _counts(BaseTag(tag))
    )


def _counts(tag: BaseTag) -> bool:
    return tag.group != 2 and tag.element != 0 and int(tag) != _TRAILING_PADDING


def _element(element: DataElement, ds: Dataset, explicit: bool, encodings: list[str]) -> bytes:
    element = _concrete(element, ds)
    vr = _vr(element)
    if element.VR == "SQ":
        # inside a private sequence everything is in Implicit VR, as UN demands
        inner = explicit and vr == "SQ"
        value = _items(element.value, inner, encodings)
    elif vr == "UN" and isinstance(element.value, bytes) and element.value[:4] == _ITEM:
        value = _unknown_sequence(element.value, encodings)
    else:
        value = _value(element, encodings)
    tag = struct.pack("<HH", element.tag.group, element.tag.element)
    if not explicit:
        return tag + struct.pack("<L", len(value)) + value
    if vr not in _LONG and len(value) > _SHORT_LIMIT:
        vr = "UN"
    if vr in _LONG:
        return tag + vr.encode() + struct.pack("<HL", 0, len(value)) + value
    return tag + vr.encode() + struct.pack("<H", len(value)) + value


def _concrete(element: DataElement, ds: Dataset) -> DataElement:
    """The element with one VR where the dictionary leaves a choice (`US or SS`)."""
    if " or " not in element.VR:
        return element
    copy = DataElement(element.tag, element.VR, element.value, already_converted=True)
    correct_ambiguous_vr_element(copy, ds, True)
    return copy


def _vr(element: DataElement) -> str:
    tag = element.tag
    if tag.is_private_creator:
        return "LO"
    if tag.is_private or not dictionary_has_tag(tag):
        return "UN"
    known = dictionary_VR(tag)
    return element.VR if " or " in known else known


def _value(element: DataElement, encodings: list[str]) -> bytes:
    value = element.value
    if isinstance(value, bytes):
        return value + b"\0" * (len(value) % 2)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_data_element(buffer, element, encodings)
    # after the tag and the length of Implicit VR
    return bytes(buffer.getvalue()[8:])


def _items(sequence: Sequence, explicit: bool, encodings: list[str]) -> bytes:
    parts = (_encode(item, explicit=explicit, encodings=encodings) for item in sequence or [])
    return b"".join(_ITEM + struct.pack("<L", len(part)) + part for part in parts)


def _unknown_sequence(value: bytes, encodings: list[str]) -> bytes:
    """Bytes that begin like a sequence: re-encoded if they are one, else as they are."""
    try:
        sequence = read_sequence(BytesIO(value), True, True, len(value), encodings)
        return _items(sequence, False, encodings)
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        NotImplementedError,
        OSError,
        EOFError,
        struct.error,
    ):
        return value
