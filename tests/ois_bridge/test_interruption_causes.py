"""Why a beam stopped, in the reader's words: by the interlock's own table, and nothing is lost."""

import pytest

from common import site
from interlock import matrix
from ois_bridge.domain import causes

pytestmark = pytest.mark.requirement("SYS-LANGUAGE")

TITLES = {
    row.name: {"en": row.text.en, "zh": row.text.zh} for row in matrix.load(site.load().interlock_path).inputs
}


@pytest.mark.parametrize(
    ("cause", "chinese"),
    [
        ("interrupted by chen.hao", "由 chen.hao 中断辐照"),
        ("monitor.overdose", "剂量超出预设"),
        ("spot.position, monitor.overdose", "束斑位置超差, 剂量超出预设"),
        ("fpga restarted", "束流控制硬件已重启"),
        ("somebody's own words, and more; interrupted by x", "somebody's own words, and more; 由 x 中断辐照"),
        ("", ""),
    ],
)
def test_causes_are_told_in_chinese(cause: str, chinese: str) -> None:
    assert causes.readable(cause, TITLES, "zh") == chinese


def test_every_input_of_the_site_is_told() -> None:
    for name in TITLES:
        told = causes.readable(name, TITLES, "zh")
        assert told != name
        assert not told.isascii()
        assert causes.readable(name, TITLES, "en") == TITLES[name]["en"]
