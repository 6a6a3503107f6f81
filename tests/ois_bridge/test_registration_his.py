"""Demographics from the hospital's system over a real socket; silent, slow or broken, the desk goes on."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from common.errors import BadInput, LinkLost
from ois_bridge.interfaces.his import Hl7His, NoHis
from ois_bridge.services.ports import Demographics
from simulation.his.server import PERSONS, HisServer

pytestmark = pytest.mark.requirement("OIS-REGISTER", "OIS-HL7")

ODD = replace(
    PERSONS[0], hospital_number="ODD-1", id_card="E1234567", given="a|b^c&d~e\\f", address="| ^ & ~ \\"
)


@pytest.fixture
def his() -> Iterator[HisServer]:
    server = HisServer((*PERSONS, ODD))
    yield server
    server.close()


def test_a_person_is_found_by_either_number(his: HisServer) -> None:
    client = Hl7His("127.0.0.1", his.port)
    expected = Demographics(
        "ZY0012345", "11010519491231002X", "韩梅梅", "19491231", "F", "13912345678", "幸福路 1 号",
        "inpatient", "放疗一病区", "12",
    )  # fmt: skip
    assert client.find("ZY0012345", "") == client.find("", "11010519491231002X") == expected
    assert client.find("NOBODY", "") is None
    assert his.manner.asked[0].startswith("MSH|^~\\&|PTCS_OIS|")
    assert "@PID.3.5^NNCHN" in his.manner.asked[1]


def test_delimiters_in_data_come_through(his: HisServer) -> None:
    found = Hl7His("127.0.0.1", his.port).find("ODD-1", "")
    assert found is not None
    assert found.name == "韩a|b^c&d~e\\f"
    assert found.address == "| ^ & ~ \\"


@pytest.mark.parametrize("number", ["", "x|y", "a\rMSH", "张", "x" * 40])
def test_a_number_that_would_break_the_message_is_refused(his: HisServer, number: str) -> None:
    with pytest.raises(BadInput, match="Hospital number"):
        Hl7His("127.0.0.1", his.port).find(number, "")
    assert his.manner.asked == []


def test_the_desk_does_not_wait(his: HisServer) -> None:
    his.manner.delay_s = 30.0
    begun = time.monotonic()
    with pytest.raises(LinkLost, match="by hand"):
        Hl7His("127.0.0.1", his.port, timeout_s=0.3).find("ZY0012345", "")
    assert time.monotonic() - begun < his.manner.delay_s / 2, "it gave up long before the answer"
    his.close()
    with pytest.raises(LinkLost, match="by hand"):
        Hl7His("127.0.0.1", his.port).find("ZY0012345", "")
    with pytest.raises(LinkLost, match="by hand"):
        NoHis().find("ZY0012345", "")


@pytest.mark.parametrize(
    "broken",
    ["", "hello", "MSH|^~\\&|HIS\r", "MSH|^~\\&|HIS\rQAK||OK\rPID|1\r", "MSH|^~\\&|HIS\rQAK|1|AE\r", "MSH"],
)
def test_an_answer_that_is_none_is_told(his: HisServer, broken: str) -> None:
    his.manner.broken = broken
    try:
        found = Hl7His("127.0.0.1", his.port).find("ZY0012345", "")
    except (BadInput, LinkLost) as why:
        assert "by hand" in str(why)
    else:
        assert found is None or found.name == ""
