"""Versions of catalogue entries: the table, the rules, and the log that survives."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput, PtcsError, Refused, Unauthorised
from device_servers.central.catalogue_book import CatalogueBook
from timing.catalogue_versions import TABLE, Act, State, Versions, check_proposal, differences

pytestmark = pytest.mark.requirement("ACS-SNAPSHOT")

ENTRY = "proton:150.00:nominal:room1"
BASE = {"ring-dipole": 1000.0, "ring-quad-f": 200.0}
LIMITS = {"ring-dipole": (0.0, 1500.0), "ring-quad-f": (0.0, 500.0)}
PHYSICIST, OPERATOR = frozenset({"physicist"}), frozenset({"operator"})


def propose(book: CatalogueBook, user: str = "petra", **settings: float) -> int:
    wish = {"settings": settings or {"ring-dipole": 1001.0}, "why": "measured"}
    return book.propose(ENTRY, wish, BASE, LIMITS, user, PHYSICIST).number


def act(book: CatalogueBook, what: Act, number: int, user: str, roles: frozenset[str] = PHYSICIST) -> None:
    book.act(what, ENTRY, {"number": number, "why": "because"}, user, roles)


def test_a_proposal_is_approved_by_another_physicist_then_put_in_force(tmp_path: Path) -> None:
    book = CatalogueBook(tmp_path)
    number = propose(book)
    assert book.versions.in_force(ENTRY) is None and len(book.versions.waiting()) == 1
    with pytest.raises(Refused, match="possible is"):
        act(book, Act.ENFORCE, number, "otto", OPERATOR)
    with pytest.raises(Unauthorised, match="another person"):
        act(book, Act.APPROVE, number, "petra")
    with pytest.raises(Unauthorised, match="physicist"):
        act(book, Act.APPROVE, number, "otto", OPERATOR)
    act(book, Act.APPROVE, number, "paula")
    act(book, Act.ENFORCE, number, "otto", OPERATOR)
    version = book.versions.in_force(ENTRY)
    assert version is not None and version.settings == {"ring-dipole": 1001.0, "ring-quad-f": 200.0}
    assert version.approved_by == "paula"
    book.close()
    again = CatalogueBook(tmp_path)
    assert again.versions.entries == book.versions.entries
    again.close()


def test_a_newer_version_replaces_and_an_older_one_or_the_base_can_come_back(tmp_path: Path) -> None:
    book = CatalogueBook(tmp_path)
    for current in (1001.0, 1002.0):
        number = propose(book, **{"ring-dipole": current})
        act(book, Act.APPROVE, number, "paula")
        act(book, Act.ENFORCE, number, "paula")
    states = [version.state for version in book.versions.of(ENTRY)]
    assert states == [State.SUPERSEDED, State.IN_FORCE]
    act(book, Act.ENFORCE, 1, "otto", OPERATOR)
    assert [version.state for version in book.versions.of(ENTRY)] == [State.IN_FORCE, State.SUPERSEDED]
    with pytest.raises(Unauthorised):
        act(book, Act.ENFORCE, 0, "rita", frozenset({"therapist"}))
    act(book, Act.ENFORCE, 0, "otto", OPERATOR)
    assert book.versions.in_force(ENTRY) is None
    with pytest.raises(Refused, match="already"):
        act(book, Act.ENFORCE, 0, "otto", OPERATOR)
    book.close()


def test_a_changed_log_puts_nothing_in_force(tmp_path: Path) -> None:
    book = CatalogueBook(tmp_path)
    propose(book)
    book.close()
    path = tmp_path / "catalogue.log"
    path.write_bytes(path.read_bytes().replace(b"1001.0", b"1009.0"))
    book = CatalogueBook(tmp_path)
    assert "cannot be trusted" in book.broken
    with pytest.raises(Refused):
        book.require_sound()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, BadInput), ([], BadInput), ({"charm": 1.0}, BadInput), ({"ring-dipole": "1"}, BadInput),
        ({"ring-dipole": True}, BadInput), ({"ring-dipole": float("nan")}, BadInput),
        ({"ring-dipole": float("inf")}, BadInput), ({"ring-dipole": 1600.0}, Refused),
        ({"ring-dipole": 800.0}, Refused),
    ],
)  # fmt: skip
def test_what_is_no_setting_is_refused(settings: Any, error: type[PtcsError]) -> None:
    with pytest.raises(error):
        check_proposal(settings, BASE, LIMITS, large=False)


def test_a_large_change_is_possible_when_it_is_meant() -> None:
    assert check_proposal({"ring-dipole": 800.0}, BASE, LIMITS, large=True)["ring-dipole"] == 800.0
    steerer = check_proposal({"ch1": -3.0}, {"ch1": 0.0}, {"ch1": (-10.0, 10.0)}, large=False)
    assert steerer == {"ch1": -3.0}
    rows = differences(BASE, {"ring-dipole": 1001.0, "ring-quad-f": 150.0})
    assert [row["name"] for row in rows] == ["ring-quad-f", "ring-dipole"]


USERS = {"petra": PHYSICIST, "paula": PHYSICIST, "otto": OPERATOR, "rita": frozenset({"therapist"})}
STEPS = st.lists(
    st.tuples(st.sampled_from(list(Act)), st.integers(1, 3), st.sampled_from(sorted(USERS))), max_size=30
)


@given(STEPS)
def test_whatever_people_try_one_version_is_in_force_and_none_without_a_second_person(
    steps: list[tuple[Act, int, str]],
) -> None:
    versions = Versions()
    for number in (1, 2, 3):
        settings, by = dict(BASE), ("petra", "paula", "otto")[number - 1]
        words = {"entry": ENTRY, "number": number, "user": by, "why": "x", "time": "t"}
        versions.apply({"act": "propose", "settings": settings, **words})
    for what, number, user in steps:
        if what is Act.REPLACE:
            continue
        version = versions.get(ENTRY, number)
        before = version.state
        try:
            versions.check(what, version, user, USERS[user])
        except Refused:
            assert version.state is before
            continue
        versions.apply({"act": what.value, "entry": ENTRY, "number": number, "user": user, "time": "t"})
        assert version.state is TABLE[before][what]
        in_force = [one for one in versions.of(ENTRY) if one.state is State.IN_FORCE]
        assert len(in_force) <= 1
        assert all(one.approved_by not in ("", one.user) for one in in_force)
    json.dumps([version.row() for version in versions.of(ENTRY)])
