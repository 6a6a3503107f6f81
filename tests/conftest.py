"""What all tests share: where the repository and the shared data are."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared real data; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("shared/data is not on this machine")
    return SHARED_DATA


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests one worker runs (`--dist loadgroup`): those of a file, and those of the treated patient."""
    for item in items:
        shared = "treated" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("treated" if shared else str(item.path)))
