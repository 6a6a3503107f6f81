"""What all tests share: where the repository and the shared data are, and in which order tests run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.nodeid import coerce_node_id

from common import text

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

FACILITIES = ("treated", "room", "facility", "epics_room")
"""Fixtures that are a whole running facility: each is started by one worker, ended after its last test."""
SHARED = ("session", "package")
SLOW_S, QUICK_S = 15.0, 0.5
"""What a test takes, roughly, by its mark ..."""
STARTS_S = 30.0
"""... and more for a file that starts processes of its own."""
MEANS = {"Bench", "AlarmBench", "ControlRoom", "Facility", "FakeFacility", "Hardware", "Room", "subprocess"}
"""Names in a test module that start processes."""
PLAIN = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def language_ends_with_the_test() -> Iterator[None]:
    """A language that a test chooses is not that of the next one."""
    before = text._language.get()
    yield
    text._language.set(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared real data; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("shared/data is not on this machine")
    return SHARED_DATA


def facility_of(item: pytest.Item | None) -> str:
    """The running facility that a test uses, or ""; one of a module's own ends with the module."""
    known = item._fixtureinfo.name2fixturedefs if item is not None else {}  # type: ignore[attr-defined]
    return next((name for name in FACILITIES if name in known and known[name][-1].scope in SHARED), "")


def database_of(item: pytest.Item) -> str:
    """The database that a test of the OIS runs on, or ""."""
    kind = item.callspec.params.get("kind") if hasattr(item, "callspec") else None
    return kind if kind in ("sqlite", "postgresql") else ""


def starts(item: pytest.Item) -> bool:
    """Whether the module of a test has the means to start processes."""
    names = vars(getattr(item, "module", None) or object).keys()
    return bool(MEANS & names)


def group_of(item: pytest.Item) -> str:
    """Tests that one worker runs (`--dist loadgroup`): of a facility, or of a file on one database."""
    return facility_of(item) or f"{item.path.stem}{database_of(item) and '-'}{database_of(item)}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Tests in the order of their groups, when everybody else has ordered; workers tell xdist the groups."""
    yield
    lasts: dict[str, float] = {}
    for item in items:
        group = group_of(item)
        if group not in lasts:
            lasts[group] = STARTS_S if starts(item) else 0.0
        lasts[group] += SLOW_S if item.get_closest_marker("slow") else QUICK_S
    # one database after the other, so that a worker starts the OIS once for each; long groups first, so that
    # no worker is left alone with one; within a group as collected
    items.sort(key=lambda item: (database_of(item) == "postgresql", -lasts[group_of(item)], group_of(item)))
    if config.getoption("loadgroup", default=False):
        for item in items:
            # what xdist 3.8 does with the mark xdist_group has no effect in pytest 9.1 and later, whose items
            # have no _nodeid: each test would be a group of its own
            item.stash[PLAIN] = item.nodeid
            item._id = coerce_node_id(f"{item.nodeid}@{group_of(item)}")


@pytest.hookimpl(trylast=True)  # after xdist has sent the ids with their groups
def pytest_collection_finish(session: pytest.Session) -> None:
    """Reports name tests as one types them."""
    for item in session.items:
        if PLAIN in item.stash:
            item._id = coerce_node_id(item.stash[PLAIN])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A facility ends with the last test of its group: an idle one takes a third of a core."""
    yield
    name = facility_of(item)
    if name and facility_of(nextitem) != name:
        for definition in reversed(item._fixtureinfo.name2fixturedefs[name]):  # type: ignore[attr-defined]
            definition.finish(item._request)  # type: ignore[attr-defined]
