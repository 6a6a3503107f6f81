"""What a check of a DICOM object finds."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.dicom import modules
from common.errors import BadDicom

ERROR, WARNING = "ERROR", "WARNING"

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Finding:
    """One finding. severity: ERROR (the object must not be used) or WARNING; keyword: the attribute."""

    severity: str
    keyword: str
    text: str


@dataclass
class Report:
    """Collects findings; its readers turn what is missing or damaged into one and give None."""

    findings: list[Finding] = field(default_factory=list)
    where: str = ""
    """Prefix of texts: the beam or control point under check."""

    def error(self, keyword: str, text: str) -> None:
        """Add an error."""
        self.findings.append(Finding(ERROR, keyword, f"{self.where}{text}"))

    def warning(self, keyword: str, text: str) -> None:
        """Add a warning."""
        self.findings.append(Finding(WARNING, keyword, f"{self.where}{text}"))

    @property
    def has_errors(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.severity == ERROR for finding in self.findings)

    def _read(self, keyword: str, reader: Callable[[], _T]) -> _T | None:
        try:
            return reader()
        except BadDicom as why:
            self.error(keyword, str(why))
            return None

    def number(self, ds: Dataset, keyword: str) -> float | None:
        """A required finite number."""
        return self._read(keyword, lambda: modules.number(ds, keyword))

    def integer(self, ds: Dataset, keyword: str) -> int | None:
        """A required whole number."""
        return self._read(keyword, lambda: modules.integer(ds, keyword))

    def numbers(self, ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
        """A required tuple of `count` finite numbers."""
        return self._read(keyword, lambda: modules.numbers(ds, keyword, count))

    def text(self, ds: Dataset, keyword: str) -> str | None:
        """A required text."""
        return self._read(keyword, lambda: str(modules.require(ds, keyword)))

    def items(self, ds: Dataset, keyword: str) -> list[Dataset]:
        """The items of a required sequence; an error when it is absent or empty."""
        found = self._read(keyword, lambda: modules.items(ds, keyword))
        if found is not None and not found:
            self.error(keyword, f"{keyword} is missing or empty")
        return found or []

    def one_of(self, ds: Dataset, keyword: str, allowed: tuple[str, ...]) -> str | None:
        """A required text out of a list."""
        value = self.text(ds, keyword)
        if value is not None and value not in allowed:
            self.error(keyword, f"{keyword} is {value}: allowed are {', '.join(allowed)}")
        return value

    def uid(self, ds: Dataset, keyword: str) -> str | None:
        """A required UID (PS3.5 9.1)."""
        value = self.text(ds, keyword)
        if value is not None and (len(value) > 64 or not _UID.fullmatch(value)):
            self.error(keyword, f"{keyword} is no valid UID")
        return value

    def count(self, ds: Dataset, keyword: str, found: int, what: str) -> None:
        """A required whole number that must equal what was counted."""
        stated = self.integer(ds, keyword)
        if stated is not None and stated != found:
            self.error(keyword, f"{keyword} is {stated}, but there are {found} {what}")

    def array(self, ds: Dataset, keyword: str) -> NDArray[np.float64] | None:
        """A required flat array of finite numbers."""
        value = self._read(keyword, lambda: modules.require(ds, keyword))
        if value is None:
            return None
        try:
            array = np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel()
        except (TypeError, ValueError):
            self.error(keyword, f"{keyword} holds something that is no number")
            return None
        if not np.isfinite(array).all():
            self.error(keyword, f"{keyword} holds a value that is not finite")
            return None
        return array

    def spots(self, ds: Dataset, keyword: str) -> NDArray[np.float64] | None:
        """Metersets of a control point's spots: count, positions and sign checked; None when unusable."""
        self.integer(ds, "NumberOfScanSpotPositions")
        metersets, places = self.array(ds, keyword), self.array(ds, "ScanSpotPositionMap")
        if metersets is None:
            return None
        self.count(ds, "NumberOfScanSpotPositions", len(metersets), f"values in {keyword}")
        if places is not None and len(places) != 2 * len(metersets):
            self.error(
                "ScanSpotPositionMap",
                f"{len(places)} coordinates for {len(metersets)} spots: allowed are 2 each",
            )
        if places is not None and np.abs(places).max() > MAX_POSITION_MM:
            self.error(
                "ScanSpotPositionMap",
                f"a spot lies {np.abs(places).max():.0f} mm off axis: allowed are {MAX_POSITION_MM:.0f}",
            )
        if metersets.min() < 0:
            self.error(
                keyword, f"a spot has a negative meterset ({metersets.min():.4g}): allowed is 0 or more"
            )
        return metersets


MAX_POSITION_MM = 500.0
"""No scanning system reaches further from its axis."""
