"""Documents of the record as A4 PDF, in the style of the irradiation report."""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

from common.links import pdf
from common.text import translate
from ois_bridge.domain import causes, plan_line, toxicity, words
from ois_bridge.domain.causes import Titles
from ois_bridge.interfaces import paper


class Documents:
    """Prints the templates of this folder."""

    def __init__(self, trips: Titles | None = None) -> None:
        """`trips`: meaning of the interlock's inputs."""
        self._trips = trips or {}
        self._environment = paper.environment()
        self._environment.filters.update({"moment": _moment, "day": _day})
        self._environment.globals.update(
            {
                "words": words,
                "grades": toxicity.GRADES,
                "symbols": plan_line.SYMBOL,
                "version": version("ptcs"),
            }
        )

    def pdf(self, template: str, content: Mapping[str, Any], language: str) -> bytes:
        """A4 in the house's style."""
        return pdf.render(self.html(template, content, language))

    def html(self, template: str, content: Mapping[str, Any], language: str) -> str:
        """The same as one page for a browser, which needs nothing else."""

        def text(message: str) -> str:
            return translate(message, language)

        return self._environment.get_template(template).render(
            _=text,
            lang="zh-CN" if language == "zh" else "en",
            cause=lambda words_: causes.readable(words_, self._trips, language),
            **content,
        )


def _time(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value) if value else None
    return value


def _moment(value: datetime | str | None) -> str:
    time = _time(value)
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else "–"


def _day(value: datetime | str | None) -> str:
    time = _time(value)
    return f"{time.astimezone():%Y-%m-%d}" if time else "–"
