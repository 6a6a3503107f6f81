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
