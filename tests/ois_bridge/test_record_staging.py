"""Stage groups follow from the tables of the department."""

from pathlib import Path

import pytest

from ois_bridge.domain import staging
from ois_bridge.interfaces import record_links

pytestmark = pytest.mark.requirement("OIS-DIAGNOSIS")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, staging.Table]:
    root: Path = tmp_path_factory.mktemp("staging")
    return dict(record_links.build(root).staging)


@pytest.mark.parametrize(
    ("chosen", "group"),
    [
        ("T1c N0 M0 PSA<10 GG1", "I"),
        ("T1c N0 M0 PSA10-20 GG1", "IIA"),
        ("T2c N0 M0 PSA<10 GG1", "IIA"),
        ("T2a N0 M0 PSA10-20 GG2", "IIB"),
        ("T2a N0 M0 PSA<10 GG4", "IIC"),
        ("T2a N0 M0 PSA≥20 GG4", "IIIA"),
        ("T3b N0 M0 PSA<10 GG1", "IIIB"),
        ("T1c N0 M0 PSA<10 GG5", "IIIC"),
        ("T3a N1 M0 PSA≥20 GG5", "IVA"),
        ("T3a N1 M1b PSA≥20 GG5", "IVB"),
        ("T1c N0 M0 PSAX GG1", ""),
    ],
)
def test_prostate(tables: dict[str, staging.Table], chosen: str, group: str) -> None:
    table = tables["prostate-tnm8"]
    choice = dict(zip([axis.name for axis in table.axes], chosen.split(), strict=True))
    stage = staging.staged(table, choice)
    assert stage.group == group
    assert staging.unassessed(stage) == (not group)


@pytest.mark.parametrize(
    ("chosen", "group"),
    [("Tis N0 M0", "0"), ("T1c N0 M0", "IA"), ("T1a N1mi M0", "IB"), ("T0 N1 M0", "IIA"),
     ("T2 N1mi M0", "IIB"),
     ("T3 N0 M0", "IIB"), ("T3 N1 M0", "IIIA"), ("T4d N1 M0", "IIIB"), ("T1c N3 M0", "IIIC"),
     ("T0 N0 M1", "IV"), ("TX N0 M0", "")],
)  # fmt: skip
def test_breast(tables: dict[str, staging.Table], chosen: str, group: str) -> None:
    table = tables["breast-anatomic"]
    choice = dict(zip("TNM", chosen.split(), strict=True))
    assert staging.staged(table, choice).group == group
