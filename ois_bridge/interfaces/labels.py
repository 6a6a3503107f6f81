"""Labels of patients as PDF: the barcode as lines (Code 128) and squares (QR), for any scanner."""

import base64
import io

from common.links import pdf
from common.text import translate
from ois_bridge.domain import words
from ois_bridge.domain.identity import readable_date
from ois_bridge.interfaces import paper
from ois_bridge.services.ports import Label


class Labels:
    """Composes labels of 60 x 40 mm."""

    def __init__(self) -> None:
        self._environment = paper.environment()

    def compose(self, label: Label, language: str) -> bytes:
        """One label as PDF."""
        html = self._environment.get_template("label.html").render(
            label=label,
            lang="zh-CN" if language == "zh" else "en",
            sex=translate(words.SEX[label.sex], language),
            born=readable_date(label.birth_date),
            lines=_lines(label.barcode),
            square=_square(label.barcode),
        )
        return pdf.render(html)


def _lines(code: str) -> str:
    from barcode import Code128  # noqa: PLC0415 - loaded with the first label
    from barcode.writer import SVGWriter  # noqa: PLC0415

    picture = io.BytesIO()
    options = {"write_text": False, "module_height": 9.0, "module_width": 0.3, "quiet_zone": 3.0}
    Code128(code, writer=SVGWriter()).write(picture, options)
    return _data(picture.getvalue())


def _square(code: str) -> str:
    import segno  # noqa: PLC0415 - loaded with the first label

    picture = io.BytesIO()
    segno.make_qr(code, error="m").save(picture, kind="svg", border=2)
    return _data(picture.getvalue())


def _data(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
