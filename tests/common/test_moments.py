"""Moments as people write them."""

from datetime import datetime

import pytest

from common.errors import BadInput
from common.moments import moment

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

NOW = 1.8e9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("-90s", NOW - 90),
        ("-5m", NOW - 300),
        ("-2h", NOW - 7200),
        ("-1.5d", NOW - 129_600),
        ("-1W", NOW - 604_800),
        ("1772352000.25", 1772352000.25),
        ("0", 0.0),
        ("2026-03-01T08:00Z", 1772352000.0),
        ("2026-03-01T16:00:00.5+08:00", 1772352000.5),
        ("2026-03-01", datetime(2026, 3, 1).timestamp()),
        ("20260301", datetime(2026, 3, 1).timestamp()),
    ],
)
def test_a_moment_is_understood(text: str, seconds: float) -> None:
    assert moment(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "--2h", "-2y", "nan", "inf", "1e300", "2026-13-01", "2026-02-30", "-9e9w", "20269999"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no time; write"):
        moment(text, NOW)
