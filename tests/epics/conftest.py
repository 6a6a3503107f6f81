"""One facility with the EPICS gateway for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.epics.epics_room import EpicsRoom


@pytest.fixture(scope="package")
def epics_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EpicsRoom]:
    room = EpicsRoom(tmp_path_factory.mktemp("epics"))
    try:
        room.start_all()
        yield room
    finally:
        room.close()
