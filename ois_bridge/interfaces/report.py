"""Irradiation reports as A4 PDF: facts and pictures into a page template, then into the renderer."""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.links import pdf
from common.text import LANGUAGES, translate
from ois_bridge.domain import causes, timeline, words
from ois_bridge.domain.causes import Titles
from ois_bridge.interfaces import paper

CAPTIONS = {
    "dose_planes.png": words.N_("Delivered dose in three planes"),
    "dvh.png": words.N_("Dose-volume histogram, planned and delivered"),
    "spot_map.png": words.N_("Spots, planned and measured"),
    "gamma.png": words.N_("Gamma index"),
}
"""Known pictures in their order -> caption; others follow with their name."""

_SPOKEN = re.compile(f"-({'|'.join(LANGUAGES)})[.]png$")


class Pages:
    """Composes reports."""

    def __init__(self, trips: Titles | None = None) -> None:
        """`trips`: meaning of the interlock's inputs."""
        self._trips = trips or {}
        self._environment = paper.environment()
        self._environment.filters.update({"moment": _moment, "clock": _clock})

    def compose(self, facts: Mapping[str, Any], pictures: Mapping[str, bytes], language: str) -> bytes:
        """The report as PDF."""

        def text(message: str) -> str:
            return translate(message, language)

        shown = of_language(pictures, language)
        html = self._environment.get_template("report.html").render(
            _=text,
            lang="zh-CN" if language == "zh" else "en",
            facts=facts,
            check=facts["summary"],
            words=words,
            cause=lambda words_: causes.readable(words_, self._trips, language),
            line=_line(facts),
            pictures=[(text(CAPTIONS.get(name, name)), _data(shown[name])) for name in _order(shown)],
            metrics=_metrics(facts["summary"]),
        )
        return pdf.render(html)


def of_language(pictures: Mapping[str, bytes], language: str) -> dict[str, bytes]:
    """Each picture once, under its plain name: NAME-LANGUAGE.png of the reader's language before NAME.png.

    A picture that was drawn in another language alone is shown as it is.
    """
    found: dict[str, bytes] = {}
    for code in (*LANGUAGES, "", language):
        ending = f"-{code}.png" if code else ".png"
        for name, content in pictures.items():
            if name.endswith(ending) and (code or not _SPOKEN.search(name)):
                found[f"{name.removesuffix(ending)}.png"] = content
    return found


def _order(pictures: Mapping[str, bytes]) -> list[str]:
    known = [name for name in CAPTIONS if name in pictures]
    return known + sorted(name for name in pictures if name not in CAPTIONS)


def _data(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _line(facts: Mapping[str, Any]) -> timeline.Line | None:
    rows = {field["number"]: row for row, field in enumerate(facts["plan"]["fields"])}
    return timeline.draw(
        [
            timeline.Span(
                datetime.fromisoformat(beam["started"]),
                datetime.fromisoformat(beam["ended"]),
                rows.get(beam["number"], len(rows)),
                str(part["part"]),
                beam["termination"] == "NORMAL",
            )
            for part in facts["fraction"]["parts"]
            for beam in part["beams"]
        ]
    )


def _metrics(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the dose table: region, quantity, planned, delivered (None: not stated)."""
    planned, delivered = check["planned_metrics"], check["delivered_metrics"]
    regions = [("", planned.get("target") or {}, delivered.get("target") or {})]
    organs = planned.get("organs") or {}
    given = delivered.get("organs") or {}
    regions += [(name, organs[name], given.get(name) or {}) for name in organs]
    return [
        {"region": region, "quantity": quantity, "planned": value, "delivered": after.get(quantity)}
        for region, before, after in regions
        for quantity, value in before.items()
        if isinstance(value, int | float) and quantity != "prescription"
    ]


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}" if text else "–"


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%H:%M:%S.%f}"[:-5]
